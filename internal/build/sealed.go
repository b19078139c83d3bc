package build

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/object"
)

// sealed are objects that are SOPS ciphertext. They are found before the typed
// round trip, which would drop the metadata of SOPS and let the rest through.
type sealed []*unstructured.Unstructured

func encrypted(objects []*unstructured.Unstructured) sealed {
	var found sealed
	for _, u := range objects {
		_, sops := u.Object["sops"]
		if sops || holdsData(u) && (ciphertext(u, "data") || ciphertext(u, "stringData") || ciphertext(u, "binaryData")) {
			found = append(found, u)
		}
	}
	return found
}

// check refuses ciphertext where it would be taken for data, and everywhere if
// decryption was asked for. It gives the objects it lets through.
func (s sealed) check(ks *kustomizev1.Kustomization) (passed []object.ID, err error) {
	for _, u := range s {
		id := object.IDOf(u)
		switch {
		case strings.EqualFold(u.GetAnnotations()[kustomizev1.GroupVersion.Group+"/decrypt"], kustomizev1.DisabledValue):
		case ks.Spec.Decryption != nil:
			return nil, fmt.Errorf("%s is still SOPS encrypted after decryption: annotate it with %s/decrypt: disabled if it is meant to be", id, kustomizev1.GroupVersion.Group)
		case holdsData(u):
			return nil, fmt.Errorf("%s is SOPS encrypted, configuring decryption is required for this %s to be reconciled", id, strings.ToLower(u.GetKind()))
		default:
			passed = append(passed, id)
		}
	}
	return passed, nil
}

func holdsData(u *unstructured.Unstructured) bool {
	return u.GetAPIVersion() == "v1" && (u.GetKind() == "Secret" || u.GetKind() == "ConfigMap")
}

// markers are what SOPS leaves in the documents it encrypts (kustomize-controller
// internal/decryptor).
var markers = []string{`"mac": "ENC[`, `"mac":"ENC[`, "sops_mac=ENC[", "mac: ENC[", "mac = ENC["}

// ciphertext looks for encrypted values, and for values that are encrypted
// documents, which a generator puts in.
func ciphertext(u *unstructured.Unstructured, field string) bool {
	data, _ := u.Object[field].(map[string]any)
	encoded := field == "binaryData" || field == "data" && u.GetKind() == "Secret"
	for _, value := range data {
		text, _ := value.(string)
		if plain, err := base64.StdEncoding.DecodeString(text); encoded && err == nil {
			text = string(plain)
		}
		if strings.HasPrefix(text, cipher) || strings.Contains(text, cipher) && marked(text) {
			return true
		}
	}
	return false
}

const cipher = "ENC[AES256_GCM,"

func marked(text string) bool {
	return slices.ContainsFunc(markers, func(m string) bool { return strings.Contains(text, m) })
}
