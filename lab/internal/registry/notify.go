package registry

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/distribution/distribution/v3/notifications"
	"github.com/sirupsen/logrus"
)

const (
	queued       = 256 // per endpoint; when full, the oldest event is dropped
	postTimeout  = 2 * time.Second
	firstBackOff = 200 * time.Millisecond
	maxBackOff   = time.Second
	giveUpAfter  = time.Minute // longer is what the listener's own polling is for
)

// notifier tells one endpoint, in order, and never makes the registry wait.
type notifier struct {
	url, token string
	events     chan []byte
	stop       context.CancelFunc
	client     *http.Client
}

func startNotifier(url, token string) *notifier {
	ctx, stop := context.WithCancel(context.Background())
	n := &notifier{url: url, token: token, stop: stop, events: make(chan []byte, queued), client: &http.Client{Timeout: postTimeout}}
	go n.run(ctx)
	return n
}

// add makes room by dropping the oldest: the newest push is what counts.
func (n *notifier) add(event []byte) {
	for {
		select {
		case n.events <- event:
			return
		default:
		}
		select {
		case <-n.events:
		default:
		}
	}
}

func (n *notifier) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-n.events:
			n.deliver(ctx, event)
		}
	}
}

func (n *notifier) deliver(ctx context.Context, event []byte) {
	deadline := time.Now().Add(giveUpAfter)
	for wait := firstBackOff; ; wait = min(2*wait, maxBackOff) {
		err := n.post(ctx, event)
		if err == nil || ctx.Err() != nil {
			return
		}
		if time.Now().Add(wait).After(deadline) {
			logrus.Warnf("notifying %s: gave up after %s: %v", n.url, giveUpAfter, err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (n *notifier) post(ctx context.Context, event []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url, bytes.NewReader(event))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", notifications.EventsMediaType)
	if n.token != "" {
		request.Header.Set("Authorization", "Bearer "+n.token)
	}
	answer, err := n.client.Do(request)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode >= 300 {
		return fmt.Errorf("answered %s", answer.Status)
	}
	return nil
}
