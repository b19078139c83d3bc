package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/kustomize"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/object"
)

// Bundle is the content that is built.
type Bundle struct {
	FS fs.FS
	// Digest names the content; empty for content that must not be shared, as
	// what was decrypted for one Kustomization.
	Digest string
}

// Options are switches of the process.
type Options struct {
	// Strict refuses variables without a value and a default (the gate
	// StrictPostBuildSubstitutions, true by default).
	Strict bool
}

// Result is what a Kustomization wants, and what a reader should know of it.
type Result struct {
	// Objects are ready to be applied, in kustomize's order. They belong to the
	// caller.
	Objects []*unstructured.Unstructured
	// Digest is "sha256:<hex>" of the built YAML, as Flux writes it into
	// status.history.
	Digest string
	// Empty: nothing was found at the path; false if a kustomization file says
	// that there is nothing.
	Empty bool
	// Patches has one entry for each of spec.patches.
	Patches []PatchMatches
	// Unknown are the fields of built-in kinds that no API server would know;
	// they are not in Objects.
	Unknown []UnknownField
	// Encrypted are objects of kinds other than Secret and ConfigMap that have
	// SOPS metadata; they are in Objects as they are.
	Encrypted []object.ID
	// Secrets are values that came from Secrets, longest first. They are there
	// to be masked in texts that others make.
	Secrets []string
}

// PatchMatches says how many objects a patch of the spec is for.
type PatchMatches struct {
	Index   int
	Target  *kustomize.Selector // nil if the patch names its object itself
	Objects int
}

// UnknownField is a field that was dropped.
type UnknownField struct {
	Object object.ID
	Path   string // .spec.template.spec.containers[0].imge
}

// Build makes what the Kustomization wants of the bundle. Everything up to
// kustomize's output is shared between those who ask for the same; all that
// belongs to one Kustomization comes after it.
//
// Errors wrap ErrNoPath if there is no directory at spec.path. None of them
// holds a value that came from a Secret.
func (c *Cache) Build(b Bundle, ks *kustomizev1.Kustomization, v Values, o Options) (*Result, error) {
	secrets := v.secrets()
	result, err := c.build(b, ks, v, o)
	if err != nil {
		return nil, mask(err, secrets)
	}
	result.Secrets = secrets
	return result, nil
}

// build is the pipeline, in the order of kustomize-controller's reconcile and
// apply (internal/controller/kustomization_controller.go).
func (c *Cache) build(b Bundle, ks *kustomizev1.Kustomization, v Values, o Options) (*Result, error) {
	set, err := c.kustomize(b, &ks.Spec)
	if err != nil {
		return nil, err
	}
	docs, err := substitute(set.resources, ks, v, o.Strict)
	if err != nil {
		return nil, err
	}
	result := &Result{Digest: digest(docs), Empty: set.empty, Patches: set.patches}
	if result.Objects, err = read(docs); err != nil {
		return nil, err
	}
	sealed := encrypted(result.Objects)
	for _, u := range result.Objects {
		dropped, err := normalise(u, ks)
		if err != nil {
			return nil, err
		}
		result.Unknown = append(result.Unknown, dropped...)
		setCommonMetadata(u, ks.Spec.CommonMetadata)
		dropBadCABundle(u)
	}
	if result.Encrypted, err = sealed.check(ks); err != nil {
		return nil, err
	}
	return result, unique(result.Objects)
}

// digest names the YAML stream that the documents make.
func digest(docs [][]byte) string {
	h := sha256.New()
	for i, doc := range docs {
		if i > 0 {
			h.Write([]byte("---\n"))
		}
		h.Write(doc)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// unique refuses two objects with one name: the last of them would win, in an
// order that nobody chose.
func unique(objects []*unstructured.Unstructured) error {
	seen := make(map[object.ID]bool, len(objects))
	for _, u := range objects {
		id := object.IDOf(u)
		key := id
		if key.Namespace == "default" {
			key.Namespace = "" // the namespace of those that name none
		}
		if seen[key] {
			return fmt.Errorf("building objects: %s is there twice: remove one of them or give it another name", id)
		}
		seen[key] = true
	}
	return nil
}
