package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/internal/event"
)

// Poster sends notices to notification-controller in the form of
// fluxcd/pkg/apis/event v1beta1, as fluxcd/pkg/runtime/events does.
type Poster struct {
	// Address is the value of --events-addr: a URL.
	Address string
	// Controller is the name receivers filter on.
	Controller string

	client http.Client
}

// Limits of one delivery, the same as Flux's.
const (
	postTimeout  = 5 * time.Second
	postAttempts = 5
	firstPause   = time.Second
)

// Send posts a notice, trying again while the receiver is down or fails. 429
// means that it has the same notice already.
func (p *Poster) Send(ctx context.Context, n event.Notice) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("posting an event: %w", err)
	}
	body, err := json.Marshal(map[string]any{
		"involvedObject":      reference(n.Object),
		"severity":            n.Severity,
		"timestamp":           metav1.NewTime(n.At.UTC()),
		"message":             n.Message,
		"reason":              n.Reason,
		"metadata":            n.Metadata,
		"reportingController": p.Controller,
		"reportingInstance":   host,
	})
	if err != nil {
		return fmt.Errorf("posting an event: %w", err)
	}
	pause := firstPause
	for attempt := 1; ; attempt++ {
		again, err := p.post(ctx, body)
		if err == nil || !again || attempt == postAttempts {
			return err
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return err
		}
	}
}

func (p *Poster) post(ctx context.Context, body []byte) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	address := p.Address
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("posting an event: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.client.Do(req)
	if err != nil {
		return true, fmt.Errorf("posting an event: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
	switch {
	case resp.StatusCode < 300 || resp.StatusCode == http.StatusTooManyRequests:
		return false, nil
	default:
		return resp.StatusCode >= 500, fmt.Errorf("posting an event: the receiver answered %s", resp.Status)
	}
}

func reference(o event.Object) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, UID: types.UID(o.UID)}
}
