package registry

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/notifications"
	goevents "github.com/docker/go-events"
	"github.com/opencontainers/go-digest"
)

// observe tells of each manifest that was pushed or deleted, in Distribution's
// own format. Distribution's sender is not used, because it queues without bound
// for an endpoint that does not answer.
func observe(next http.Handler, addr string, tell func(event []byte)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repository, reference, ok := manifestOf(r)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		seen := &response{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		if event, ok := eventOf(r, repository, reference, seen); ok {
			event.Source.Addr = addr
			if body, err := json.Marshal(notifications.Envelope{Events: []goevents.Event{event}}); err == nil {
				tell(body)
			}
		}
	})
}

// manifestOf splits /v2/<repository>/manifests/<reference> of a request that changes it.
func manifestOf(r *http.Request) (repository, reference string, ok bool) {
	if r.Method != http.MethodPut && r.Method != http.MethodDelete {
		return "", "", false
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/v2/")
	at := strings.LastIndex(path, "/manifests/")
	if !ok || at < 1 {
		return "", "", false
	}
	return path[:at], path[at+len("/manifests/"):], true
}

func eventOf(r *http.Request, repository, reference string, seen *response) (notifications.Event, bool) {
	event := notifications.Event{ID: rand.Text(), Timestamp: time.Now()}
	switch {
	case r.Method == http.MethodPut && seen.status == http.StatusCreated:
		event.Action = notifications.EventActionPush
	case r.Method == http.MethodDelete && seen.status == http.StatusAccepted:
		event.Action = notifications.EventActionDelete
	default:
		return event, false
	}
	event.Target.Repository = repository
	if d, err := digest.Parse(reference); err == nil {
		event.Target.Digest = d
	} else {
		event.Target.Tag = reference
	}
	if d, err := digest.Parse(seen.Header().Get("Docker-Content-Digest")); err == nil {
		event.Target.Digest = d
	}
	if event.Action == notifications.EventActionPush {
		event.Target.MediaType = r.Header.Get("Content-Type")
		event.Target.Size, event.Target.Length = r.ContentLength, r.ContentLength
		event.Target.URL = "http://" + r.Host + "/v2/" + repository + "/manifests/" + event.Target.Digest.String()
	}
	event.Request = notifications.RequestRecord{ID: event.ID, Addr: r.RemoteAddr, Host: r.Host, Method: r.Method, UserAgent: r.UserAgent()}
	return event, true
}

// response remembers the status that went through it.
type response struct {
	http.ResponseWriter
	status int
}

func (r *response) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *response) Write(data []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(data)
}
