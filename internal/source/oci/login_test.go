package oci

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/internal/artifact"
)

func TestSecretLogin(t *testing.T) {
	basic := base64.StdEncoding.EncodeToString([]byte("auth:pass:word"))
	l, err := SecretLogin([]byte(`{"auths": {
		"ghcr.io": {"username": "whole", "password": "p"},
		"https://ghcr.io/org": {"username": "org", "password": "p"},
		"ghcr.io/org/app": {"auth": "` + basic + `"},
		"https://index.docker.io/v1/": {"username": "hub", "password": "p"},
		"*.example.com": {"username": "wild", "password": "p"},
		"token.local:5000": {"registrytoken": "t"}
	}}`))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"ghcr.io/other/app":         "whole",
		"ghcr.io/org/other":         "org",
		"ghcr.io/organization/app":  "whole",
		"ghcr.io/org/app":           "auth",
		"ghcr.io/org/app/deeper":    "auth",
		"docker.io/library/nginx":   "hub",
		"registry.example.com/a":    "wild",
		"a.registry.example.com/a":  "",
		"quay.io/a/b":               "",
		"token.local:5000/a":        "",
		"ghcr.io.evil.example.io/a": "",
	} {
		ref, err := artifact.ParseReference(text)
		if err != nil {
			t.Fatal(err)
		}
		cred, err := l.Credential(t.Context(), ref.Repository)
		if err != nil || cred.Username != want {
			t.Errorf("%s: user %q, %v; want %q", text, cred.Username, err, want)
		}
		if want == "auth" && cred.Password != "pass:word" {
			t.Errorf("%s: a password with a colon was cut to %q", text, cred.Password)
		}
	}
}

func TestSecretLoginNeverQuotesTheSecret(t *testing.T) {
	for _, text := range []string{
		`hunter2`, `{"auths": "hunter2"}`, `{"auths": {"ghcr.io": {"auth": "hunter2"}}}`, `{"auths": {"ghcr.io": {"auth": {"hunter2": 1}}}}`,
	} {
		_, err := SecretLogin([]byte(text))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v; want an error without the content", text, err)
		}
	}
}

func TestIdentityDiffersWithEveryField(t *testing.T) {
	repo := artifact.Repository{Host: "ghcr.io", Path: "a/b"}
	ana, err := UserPassword("ana:a")
	if err != nil {
		t.Fatal(err)
	}
	bob, err := UserPassword("ana:b")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for i, a := range []Access{
		{Repository: repo}, {Repository: repo, Login: ana}, {Repository: repo, Login: bob}, {Repository: repo, Insecure: true},
		{Repository: repo, TLS: TLS{CA: []byte("x")}}, {Repository: repo, TLS: TLS{Cert: []byte("x")}}, {Repository: repo, TLS: TLS{Key: []byte("x")}},
	} {
		if other, found := seen[a.Identity()]; found {
			t.Errorf("access %d and %d have one identity", i, other)
		}
		seen[a.Identity()] = i
	}
}
