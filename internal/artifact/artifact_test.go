package artifact

import (
	"strings"
	"testing"
)

const hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParseReference(t *testing.T) {
	for text, want := range map[string]string{
		"oci://ghcr.io/datum-cloud/activity-kustomize":     "ghcr.io/datum-cloud/activity-kustomize",
		"ghcr.io/org/app:v1.2.3":                           "ghcr.io/org/app:v1.2.3",
		"oci://127.0.0.1:5000/app:v1":                      "127.0.0.1:5000/app:v1",
		"oci://127.0.0.1:5000/app":                         "127.0.0.1:5000/app",
		"oci://[::1]:5000/a/b":                             "[::1]:5000/a/b",
		"localhost/app":                                    "localhost/app",
		"stefanprodan/podinfo":                             "docker.io/stefanprodan/podinfo",
		"oci://docker.io/nginx":                            "docker.io/library/nginx",
		"oci://ghcr.io/org/app@sha256:" + hex64:            "ghcr.io/org/app@sha256:" + hex64,
		"oci://ghcr.io/org/app:v1@sha256:" + hex64:         "ghcr.io/org/app:v1@sha256:" + hex64,
		"ghcr.io/a/b__c/d--e:v0.0.0-main-20261122-101010":  "ghcr.io/a/b__c/d--e:v0.0.0-main-20261122-101010",
		"ghcr.io/org/app:" + strings.Repeat("a", 128):      "ghcr.io/org/app:" + strings.Repeat("a", 128),
		"registry.example.com:8443/team/app:1.0.0_build.5": "registry.example.com:8443/team/app:1.0.0_build.5",
	} {
		got, err := ParseReference(text)
		if err != nil || got.String() != want {
			t.Errorf("ParseReference(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                           "names no repository",
		"oci://":                     "names no repository",
		"https://ghcr.io/org/app":    "only oci://",
		"oci://ghcr.io/Org/app":      "no repository path",
		"oci://ghcr.io/org//app":     "no repository path",
		"oci://ghcr.io/org/app:":     "tag is empty",
		"oci://ghcr.io/org/app:-a":   "is no tag",
		"oci://ghcr.io/org/app:1+b":  "written '_'",
		"oci://ghcr.io/org/app@md5:": "is no digest",
		"oci://gh cr.io/org/app":     "",
		"ghcr.io/org/app:" + strings.Repeat("a", 129):            "at most 128",
		"ghcr.io/" + strings.Repeat("a", 255):                    "longer than 255",
		"oci://ghcr.io/org/app@sha256:" + strings.ToUpper(hex64): "is no digest",
	} {
		if got, err := ParseReference(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseReference(%q) = %q, %v; want an error with %q", text, got, err, want)
		}
	}
}

func TestParseRepositoryRefusesVersions(t *testing.T) {
	for _, text := range []string{"oci://ghcr.io/org/app:v1", "oci://ghcr.io/org/app@sha256:" + hex64} {
		if got, err := ParseRepository(text); err == nil || !strings.Contains(err.Error(), "must not contain") {
			t.Errorf("ParseRepository(%q) = %v, %v; want a refusal", text, got, err)
		}
	}
}

func TestIsLocal(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1:5000": true, "localhost:5000": true, "[::1]:5000": true, "10.1.2.3": true,
		"192.168.1.2:80": true, "registry.local": true, "ghcr.io": false, "8.8.8.8": false,
		"registry.flux-system.svc.cluster.local.": false,
	} {
		if got := (Repository{Host: host, Path: "a"}).IsLocal(); got != want {
			t.Errorf("IsLocal(%s) = %v, want %v", host, got, want)
		}
	}
}

func TestRevision(t *testing.T) {
	d, err := ParseDigest("sha256:" + hex64)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ tag, text string }{{"v1", "v1@sha256:" + hex64}, {"", "sha256:" + hex64}} {
		r := NewRevision(c.tag, d)
		if string(r) != c.text || r.Tag() != c.tag || r.Digest() != d {
			t.Errorf("NewRevision(%q) = %q with tag %q and digest %q", c.tag, r, r.Tag(), r.Digest())
		}
	}
}

// FuzzParseReference: whatever parses has one spelling, and that spelling
// parses to the same value.
func FuzzParseReference(f *testing.F) {
	for _, seed := range []string{
		"oci://ghcr.io/org/app:v1@sha256:" + hex64, "localhost:1/a", "a", "a/b", "[::1]/a", "x@y@z", "a:b:c/d:e", "docker.io/a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ref, err := ParseReference(text)
		if err != nil {
			return
		}
		again, err := ParseReference(ref.String())
		if err != nil || again != ref {
			t.Fatalf("%q parsed to %q, which parses to %q, %v", text, ref, again, err)
		}
		if ref.Tag != "" && CheckTag(ref.Tag) != nil {
			t.Fatalf("%q has the tag %q, which is none", text, ref.Tag)
		}
	})
}
