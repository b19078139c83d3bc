package hint

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" // senders of old still sign with it, beside SHA-256
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/internal/artifact"
)

// Waker is told that a repository may have something new. A Repository without
// a Host is known by its path alone.
type Waker interface {
	Wake(ctx context.Context, repo artifact.Repository)
}

// WakerFunc is a Waker.
type WakerFunc func(ctx context.Context, repo artifact.Repository)

// Wake implements Waker.
func (f WakerFunc) Wake(ctx context.Context, repo artifact.Repository) { f(ctx, repo) }

// Bounds against a sender that has gone mad or is not who it should be.
const (
	maxBody = 1 << 20
	// Gap is the least time between two hints of one repository. The last hint
	// of a burst is never lost: it counts when the gap is over.
	Gap = time.Second
	// maxPending bounds the repositories that wait for their gap to end.
	maxPending = 10_000
)

// Handler serves POST /hook and POST /hook/<anything>.
type Handler struct {
	token []byte
	waker Waker
	base  context.Context

	mu   sync.Mutex
	last map[string]*pace // by path: the host of a repository may have many names
}

type pace struct {
	at      time.Time
	waiting bool
}

// NewHandler makes a handler that takes posts which know the token: as bearer
// token, as key of an HMAC over the body, or, for senders that can do neither,
// as the last part of the path in the form hex(sha256(token)), as Flux's
// Receivers have it. The context ends what still waits.
func NewHandler(ctx context.Context, token string, waker Waker) *Handler {
	return &Handler{token: []byte(token), waker: waker, base: ctx, last: map[string]*pace{}}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/hook" && !strings.HasPrefix(r.URL.Path, "/hook/") {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "only POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the body is larger than 1 MiB or broke off", http.StatusRequestEntityTooLarge)
		return
	}
	if !h.knowsToken(r, body) {
		http.Error(w, "send the token as 'Authorization: Bearer …', as an HMAC in X-Hub-Signature-256 or X-Signature, or as the last part of the path", http.StatusUnauthorized)
		return
	}
	repos := Repositories(body)
	for _, name := range r.URL.Query()["repository"] {
		if repo, err := artifact.ParseRepository(name); err == nil {
			repos = append(repos, repo)
		}
	}
	if len(repos) == 0 {
		// Registries test their hooks with posts that name nothing, and send
		// events about other things: no error, but no hint either.
		fmt.Fprintln(w, "no repository named: nothing to look at")
		return
	}
	for _, repo := range repos {
		h.wake(repo)
	}
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, "looking at %d repositories\n", len(repos))
}

// wake passes a hint on now, or when the gap since the last one is over.
func (h *Handler) wake(repo artifact.Repository) {
	if h.pace(repo) {
		h.waker.Wake(h.base, repo)
	}
}

// pace tells whether a hint may pass now; one that may not is sent later.
func (h *Handler) pace(repo artifact.Repository) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	p, found := h.last[repo.Path]
	if !found {
		if len(h.last) >= maxPending {
			h.forget(now)
		}
		if len(h.last) >= maxPending {
			return false // a flood of names; the interval finds what was new
		}
		p = &pace{}
		h.last[repo.Path] = p
	}
	if p.waiting {
		return false
	}
	wait := p.at.Add(Gap).Sub(now)
	if wait <= 0 {
		p.at = now
		return true
	}
	p.waiting = true
	time.AfterFunc(wait, func() {
		h.mu.Lock()
		p.waiting, p.at = false, time.Now()
		h.mu.Unlock()
		if h.base.Err() == nil {
			h.waker.Wake(h.base, repo)
		}
	})
	return false
}

func (h *Handler) forget(now time.Time) {
	for path, p := range h.last {
		if !p.waiting && now.Sub(p.at) > Gap {
			delete(h.last, path)
		}
	}
}

func (h *Handler) knowsToken(r *http.Request, body []byte) bool {
	if bearer, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); found {
		return subtle.ConstantTimeCompare([]byte(bearer), h.token) == 1
	}
	for _, header := range []string{"X-Hub-Signature-256", "X-Signature", "X-Hub-Signature"} {
		if signature := r.Header.Get(header); signature != "" {
			return h.signed(signature, body)
		}
	}
	if token := r.Header.Get("X-Gitlab-Token"); token != "" {
		return subtle.ConstantTimeCompare([]byte(token), h.token) == 1
	}
	sum := sha256.Sum256(h.token)
	return subtle.ConstantTimeCompare([]byte(strings.TrimPrefix(r.URL.Path, "/hook/")), []byte(hex.EncodeToString(sum[:]))) == 1
}

// signed checks "algorithm=hex" over the body.
func (h *Handler) signed(signature string, body []byte) bool {
	name, text, found := strings.Cut(signature, "=")
	if !found {
		return false
	}
	var algorithm func() hash.Hash
	switch name {
	case "sha1":
		algorithm = sha1.New
	case "sha256":
		algorithm = sha256.New
	case "sha512":
		algorithm = sha512.New
	default:
		return false
	}
	claimed, err := hex.DecodeString(text)
	if err != nil {
		return false
	}
	mac := hmac.New(algorithm, h.token)
	mac.Write(body)
	return hmac.Equal(mac.Sum(nil), claimed)
}
