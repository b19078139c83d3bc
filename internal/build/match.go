package build

import (
	"fmt"
	"strings"

	"github.com/fluxcd/pkg/apis/kustomize"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// match counts the objects that the target of each patch selects. What was
// built tells it, unless a patch takes objects away or changes what targets
// look at, or the kustomization does so after its patches, or a patch seems to
// be for nothing. Then a second build has a mark in place of each patch.
func match(built resmap.ResMap, k types.Kustomization, patches []kustomize.Patch, rebuild func(marked []string) (resmap.ResMap, error)) ([]PatchMatches, error) {
	if len(patches) == 0 {
		return nil, nil
	}
	matches := make([]PatchMatches, len(patches))
	sure := true
	for i, p := range patches {
		matches[i] = PatchMatches{Index: i, Target: p.Target}
		if p.Target == nil {
			matches[i].Objects = 1 // kustomize refuses one that finds nothing
			continue
		}
		found, err := built.Select(*selector(p.Target))
		if err != nil {
			return nil, fmt.Errorf("reading the target of spec.patches[%d]: %w", i, err)
		}
		matches[i].Objects = len(found)
		sure = sure && len(found) > 0 && !movesTargets(p.Patch) && !sawOther(*p.Target, k)
	}
	if sure {
		return matches, nil
	}
	return remark(matches, rebuild)
}

// remark counts the marks that the targets got in a build of their own.
func remark(matches []PatchMatches, rebuild func(marked []string) (resmap.ResMap, error)) ([]PatchMatches, error) {
	keys := make([]string, len(matches))
	for i := range matches {
		keys[i] = fmt.Sprintf("patches.sluice.dev/%d", i)
	}
	built, err := rebuild(keys)
	if err != nil {
		// The patches themselves could be applied; what is known is enough.
		return matches, nil
	}
	for i := range matches {
		if matches[i].Target != nil {
			matches[i].Objects = 0
		}
	}
	for _, r := range built.Resources() {
		annotations := r.GetAnnotations()
		for i := range matches {
			if _, marked := annotations[keys[i]]; marked && matches[i].Target != nil {
				matches[i].Objects++
			}
		}
	}
	return matches, nil
}

// mark puts an annotation in place of each of the last patches. What named its
// object itself is left out.
func mark(patches []types.Patch, keys []string) []types.Patch {
	own := len(patches) - len(keys)
	marked := append([]types.Patch{}, patches[:own]...)
	for i, key := range keys {
		if target := patches[own+i].Target; target != nil {
			marked = append(marked, types.Patch{Target: target, Patch: "apiVersion: v1\nkind: Mark\nmetadata:\n  name: mark\n  annotations:\n    " + key + ": \"\"\n"})
		}
	}
	return marked
}

// movesTargets tells whether a patch may change which objects a target finds.
// It looks for words only, and may be wrong in saying so.
func movesTargets(patch string) bool {
	for _, word := range []string{"$patch", "labels", "annotations", "namespace", "/metadata", "/kind", "remove"} {
		if strings.Contains(patch, word) {
			return true
		}
	}
	return false
}

// sawOther tells whether a target may have looked at something else than what
// the build shows: names, namespaces and labels are set after the patches.
func sawOther(target kustomize.Selector, k types.Kustomization) bool {
	return target.Name != "" && k.NamePrefix+k.NameSuffix != "" ||
		target.Namespace != "" && k.Namespace != "" ||
		target.LabelSelector+target.AnnotationSelector != ""
}

// badPatch names the patch that kustomize could not read: it would only repeat
// its text.
func badPatch(err error, patches []kustomize.Patch) error {
	if !strings.Contains(err.Error(), "unable to parse SM or JSON patch") {
		return err
	}
	for i, p := range patches {
		if _, bad := yaml.YAMLToJSON([]byte(p.Patch)); bad != nil {
			return fmt.Errorf("spec.patches[%d] is neither a merge patch nor a JSON patch: %w", i, bad)
		}
	}
	return err
}
