package script_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/publish"
	"github.com/sluice-dev/sluice/internal/source/oci"
	"github.com/sluice-dev/sluice/internal/source/oci/registrytest"
)

// registry is one of a script's registries.
type registry struct {
	*registrytest.Registry
	arrived chan struct{} // gets a value when the fault meets a request
	login   oci.Login
}

// startRegistry serves until the script ends, under $REGISTRY or another name.
//
//	registry [-name NAME] [-tls] [-login USER:PASSWORD] [-private]
//
// With -login pushing needs a token, with -private pulling too.
func startRegistry(ts *testscript.TestScript, _ bool, args []string) {
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	name := flags.String("name", "REGISTRY", "")
	login := flags.String("login", "", "")
	private := flags.Bool("private", false, "")
	tls := flags.Bool("tls", false, "")
	ts.Check(flags.Parse(args))
	w, r := worldOf(ts), &registry{}
	var options []registrytest.Option
	if *tls {
		options = append(options, registrytest.TLS())
	}
	if user, password, found := strings.Cut(*login, ":"); found {
		w.keepSecret(user, password)
		tokens := registrytest.Tokens
		if *private {
			tokens = registrytest.PrivateTokens
		}
		options = append(options, tokens(user, password, 0))
		var err error
		r.login, err = oci.UserPassword(*login)
		ts.Check(err)
	}
	r.Registry = registrytest.New(cleaner{ts: ts}, options...)
	w.registries[*name] = r
	ts.Setenv(*name, r.Host())
}

// cleaner is the part of testing.TB that registrytest needs.
type cleaner struct {
	testing.TB
	ts *testscript.TestScript
}

func (cleaner) Helper()            {}
func (c cleaner) Cleanup(f func()) { c.ts.Defer(f) }

type answer = func(http.ResponseWriter, *http.Request) bool

// setFault lets $REGISTRY fail from now on.
//
//	fault none | hang | cut | corrupt | STATUS [MESSAGE]
//	fault -only METHOD:PART KIND
func setFault(ts *testscript.TestScript, _ bool, args []string) {
	r := theRegistry(ts)
	only := ""
	if len(args) > 2 && args[0] == "-only" {
		only, args = args[1], args[2:]
	}
	method, part, _ := strings.Cut(only, ":")
	var fault answer
	switch args[0] {
	case "none":
		r.Fault(nil)
		return
	case "hang":
		fault = registrytest.Hang
	case "cut":
		fault = cut
	case "corrupt":
		fault = corrupt
	default:
		status, err := strconv.Atoi(args[0])
		ts.Check(err)
		fault = registrytest.Answer(status)
		if len(args) > 1 {
			fault = says(status, args[1])
		}
	}
	arrived := make(chan struct{}, 1)
	r.arrived = arrived
	r.Fault(func(w http.ResponseWriter, req *http.Request) bool {
		if method != "" && req.Method != method || !strings.Contains(req.URL.Path, part) {
			return false
		}
		select {
		case arrived <- struct{}{}:
		default:
		}
		return fault(w, req)
	})
}

// cut ends the connection after half of the request.
func cut(w http.ResponseWriter, req *http.Request) bool {
	_, _ = io.CopyN(io.Discard, req.Body, req.ContentLength/2)
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		conn.Close()
	}
	return true
}

// corrupt answers with content that nobody asked for.
func corrupt(w http.ResponseWriter, _ *http.Request) bool {
	w.(http.Flusher).Flush() // no Content-Length, which would tell at once
	_, _ = w.Write(tarred(tar.Header{Name: "evil.yaml", Typeflag: tar.TypeReg}))
	return true
}

// says answers as the distribution specification wants errors.
func says(status int, message string) answer {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{
			map[string]any{"code": "DENIED", "message": message, "detail": map[string]string{"name": "org/app"}},
		}})
		return true
	}
}

// awaitRequest waits until a request has met the fault.
func awaitRequest(ts *testscript.TestScript, _ bool, _ []string) {
	select {
	case <-theRegistry(ts).arrived:
	case <-time.After(time.Minute):
		ts.Fatalf("no request arrived")
	}
}

func theRegistry(ts *testscript.TestScript) *registry {
	r := worldOf(ts).registries["REGISTRY"]
	if r == nil {
		ts.Fatalf("start a registry first")
	}
	return r
}

// untagged checks that a repository of $REGISTRY has none of the tags.
//
//	untagged REPOSITORY TAG...
func untagged(ts *testscript.TestScript, _ bool, args []string) {
	r := theRegistry(ts)
	client, err := oci.NewRegistries(oci.Options{}).Client(oci.Access{Repository: r.Repository(args[0]), Login: r.login})
	ts.Check(err)
	for _, tag := range args[1:] {
		if _, err := client.Tag(context.Background(), tag, nil); err == nil {
			ts.Fatalf("there is a tag %s", tag)
		}
	}
}

// publishLayer publishes what sluice itself never would, to $REGISTRY.
//
//	publish REPOSITORY:TAG KIND
func publishLayer(ts *testscript.TestScript, _ bool, args []string) {
	r := theRegistry(ts)
	repo, tag, _ := strings.Cut(args[0], ":")
	layer, found := layers[args[1]]
	if !found {
		ts.Fatalf("no layer %s", args[1])
	}
	p := publish.Package{Layer: blob(artifact.ContentMediaType, layer()), Config: blob(artifact.ConfigMediaType, []byte("{}"))}
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: p.Config.Descriptor, Layers: []ocispec.Descriptor{p.Layer.Descriptor},
	}
	if args[1] == "none" {
		manifest.Layers = []ocispec.Descriptor{}
	}
	raw, err := json.Marshal(manifest)
	ts.Check(err)
	p.Manifest = blob(manifest.MediaType, raw)
	client, err := oci.NewRegistries(oci.Options{}).Client(oci.Access{Repository: r.Repository(repo), Login: r.login})
	ts.Check(err)
	_, err = client.Push(context.Background(), p, []string{tag})
	ts.Check(err)
}

func blob(mediaType string, content []byte) publish.Blob {
	return publish.Blob{
		Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))},
		Content:    content,
	}
}

var layers = map[string]func() []byte{
	"parent":   func() []byte { return tarred(tar.Header{Name: "../x", Typeflag: tar.TypeReg}) },
	"absolute": func() []byte { return tarred(tar.Header{Name: "/etc/x", Typeflag: tar.TypeReg}) },
	"hardlink": func() []byte { return tarred(tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}) },
	"device":   func() []byte { return tarred(tar.Header{Name: "x", Typeflag: tar.TypeChar}) },
	"symlink": func() []byte {
		return tarred(tar.Header{Name: "x", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"})
	},
	"text": func() []byte { return []byte("this is no archive\n") },
	"cut": func() []byte {
		whole := tarred(tar.Header{Name: "x", Typeflag: tar.TypeReg})
		return whole[:len(whole)/2]
	},
	"none": func() []byte { return []byte("x") },
}

// tarred is an archive of one entry; a file holds an object.
func tarred(header tar.Header) []byte {
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	tw := tar.NewWriter(gz)
	var content []byte
	if header.Typeflag == tar.TypeReg {
		content = []byte("kind: ConfigMap\n")
	}
	header.Size, header.Mode = int64(len(content)), 0o644
	for _, err := range []error{tw.WriteHeader(&header), second(tw.Write(content)), tw.Close(), gz.Close()} {
		if err != nil {
			panic(err) // into memory: cannot fail
		}
	}
	return out.Bytes()
}

func second(_ int, err error) error { return err }
