package apiproxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Request is what a request asks for. Discovery and other paths that name no
// resource have the verb get and an empty Resource.
type Request struct {
	N    int    // counted from 1 in the order of arrival, since New
	Verb string // get list watch create update patch apply delete deletecollection
	// DryRun is set for requests that change nothing because they say so.
	DryRun bool

	Group, Version, Resource, Subresource string
	// Namespace is empty for objects without one; a Namespace is such an object.
	Namespace, Name string

	FieldManager, UserAgent string
	Impersonate             string // the user, if any
	Path                    string // as sent, without the query

	Sent     int64 // bytes of the body
	Answered int64 // bytes of the answer's body so far, as transferred
	Status   int   // of the answer as the client got it; 0 without one
}

// Writes tells whether a request changes anything.
func (q Request) Writes() bool {
	switch q.Verb {
	case "create", "update", "patch", "apply", "delete", "deletecollection":
		return !q.DryRun
	}
	return false
}

// String is for messages: "apply apps/deployments/status ns/name (dry-run)".
func (q Request) String() string {
	if q.Resource == "" {
		return q.Verb + " " + q.Path
	}
	text := q.Verb + " " + joined(q.Group, q.Resource, q.Subresource)
	if object := joined(q.Namespace, q.Name); object != "" {
		text += " " + object
	}
	if q.DryRun {
		text += " (dry-run)"
	}
	return text
}

func joined(parts ...string) string {
	var named []string
	for _, part := range parts {
		if part != "" {
			named = append(named, part)
		}
	}
	return strings.Join(named, "/")
}

// read parses a request. Its body is read to the end, so that a request which
// is let through is complete, however its client ends.
func read(r *http.Request) (Request, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return Request{}, fmt.Errorf("reading a request: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	query := r.URL.Query()
	q := Request{
		Path: r.URL.Path, Sent: int64(len(body)),
		FieldManager: query.Get("fieldManager"), UserAgent: r.UserAgent(),
		Impersonate: r.Header.Get("Impersonate-User"),
		DryRun:      query.Has("dryRun"),
	}
	q.locate(r.URL.Path)
	q.Verb = verb(r, q, query)
	if r.Method == http.MethodDelete && !q.DryRun {
		q.DryRun = deletesNothing(body, mediaType(r))
	}
	return q, nil
}

// locate reads /api/VERSION or /apis/GROUP/VERSION, then
// [namespaces/NAMESPACE/]RESOURCE[/NAME[/SUBRESOURCE]].
func (q *Request) locate(path string) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case parts[0] == "api" && len(parts) > 2:
		q.Version, parts = parts[1], parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		q.Group, q.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return
	}
	ofNamespace := len(parts) == 3 && (parts[2] == "status" || parts[2] == "finalize")
	if parts[0] == "namespaces" && len(parts) > 2 && !ofNamespace {
		q.Namespace, parts = parts[1], parts[2:]
	}
	q.Resource = parts[0]
	if len(parts) > 1 {
		q.Name = parts[1]
	}
	if len(parts) > 2 {
		q.Subresource = strings.Join(parts[2:], "/")
	}
}

func verb(r *http.Request, q Request, query url.Values) string {
	switch watches := query.Get("watch"); {
	case r.Method == http.MethodPost:
		return "create"
	case r.Method == http.MethodPut:
		return "update"
	case r.Method == http.MethodPatch && strings.HasPrefix(mediaType(r), "application/apply-patch"):
		return "apply"
	case r.Method == http.MethodPatch:
		return "patch"
	case r.Method == http.MethodDelete && q.Name == "":
		return "deletecollection"
	case r.Method == http.MethodDelete:
		return "delete"
	case q.Resource != "" && (watches == "true" || watches == "1"):
		return "watch"
	case q.Resource != "" && q.Name == "":
		return "list"
	default:
		return "get"
	}
}

func mediaType(r *http.Request) string {
	name, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return name
}

// deletesNothing looks for dry-run in DeleteOptions, the only options that
// travel in a body.
func deletesNothing(body []byte, mediaType string) bool {
	var options metav1.DeleteOptions
	if mediaType == runtime.ContentTypeProtobuf {
		var wrapped runtime.Unknown
		envelope, ok := bytes.CutPrefix(body, []byte("k8s\x00"))
		if !ok || wrapped.Unmarshal(envelope) != nil || options.Unmarshal(wrapped.Raw) != nil {
			return false
		}
	} else if json.Unmarshal(body, &options) != nil {
		return false
	}
	return len(options.DryRun) > 0
}
