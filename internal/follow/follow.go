package follow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/ignore"
	"github.com/sluice-dev/sluice/internal/version"
)

// Want is what a source asks for.
type Want struct {
	Source     Source
	Repository artifact.Repository
	Rule       version.Rule
	// MediaType of the layer to take; empty takes the first.
	MediaType string
	// Copy stores the layer as it is; otherwise it is unpacked, filtered and
	// packed again.
	Copy   bool
	Ignore *string
	Ask    Ask
}

// Have is what a source has, by its status.
type Have struct {
	Revision artifact.Revision // empty if it has nothing
	Path     string
	Digest   digest.Digest // of the stored file
	Created  string        // org.opencontainers.image.created of the stored artifact
	// Outdated says that it was made by other rules (ignore, layer) than now.
	Outdated bool
	// Unproven says that the spec changed since: what is stored may come from
	// another repository or identity than the one that it names now.
	Unproven bool
	// MayGoBack allows a lower version.
	MayGoBack bool
}

// Follower runs sources. Make one per process.
type Follower struct {
	Limits archive.Limits
	// Unpacking bounds how many archives are held in memory at a time.
	Unpacking chan struct{}
}

// Moment anchors the next look at a source: when its repository was asked.
type Moment struct {
	At     time.Time
	Jitter float64
}

// Once brings a source up to date and tells the sink what it learned. The last
// event is the outcome: Stored, Unchanged or Failed; Lost, Held and Found may
// come before it.
func (f *Follower) Once(ctx context.Context, want Want, have Have, repo Repository, shelf Shelf, sink func(event.Event)) Moment {
	r := &run{Follower: f, want: want, have: have, repo: repo, shelf: shelf, sink: sink, moment: Moment{At: time.Now()}}
	if err := r.steps(ctx); err != nil {
		r.sink(event.Event{Failed: failedOf(err)})
	}
	return r.moment
}

// run is one run of one source.
type run struct {
	*Follower
	want   Want
	have   Have
	repo   Repository
	shelf  Shelf
	sink   func(event.Event)
	moment Moment
}

// steps is the whole order of things.
func (r *run) steps(ctx context.Context) error {
	published, intact, err := r.inspect()
	if err != nil {
		return err
	}
	revision, err := r.newest(ctx)
	if err != nil {
		return err
	}
	if intact && revision == r.have.Revision && !r.have.Outdated {
		if r.have.Unproven && r.want.Rule.Pinned() != "" {
			// A tag was resolved with the source's own identity; a digest was not.
			if _, err := r.repo.Manifest(ctx, revision.Digest(), r.want.Ask); err != nil {
				return r.pullFailed(err)
			}
		}
		r.sink(event.Event{Unchanged: &event.Unchanged{Revision: string(revision), URL: published.URL, Latest: published.Latest}})
		return nil
	}
	r.sink(event.Event{Found: &event.Found{Revision: string(revision), Reference: r.reference(revision)}})
	manifest, err := r.repo.Manifest(ctx, revision.Digest(), r.want.Ask)
	if err != nil {
		return r.pullFailed(err)
	}
	layer, err := manifest.Select(r.want.MediaType)
	if err != nil {
		return at(event.StepLayer, err)
	}
	published, err = r.publish(ctx, revision, layer)
	if err != nil {
		return err
	}
	r.sink(event.Event{Stored: &event.Stored{
		Revision: string(revision), Path: published.Path, URL: published.URL, Latest: published.Latest,
		Digest: published.Digest.String(), Size: published.Size, Metadata: manifest.Annotations,
		MovedBack: r.movedBack(revision, manifest.Annotations[ocispec.AnnotationCreated]),
	}})
	return nil
}

func (r *run) pullFailed(err error) error {
	return at(event.StepPull, fmt.Errorf("failed to pull artifact from '%s': %w", r.want.Repository.URL(), err))
}

// inspect looks whether what the status promises is really there.
func (r *run) inspect() (Published, bool, error) {
	if r.have.Revision == "" {
		return Published{}, false, nil
	}
	published, intact, err := r.shelf.Find(r.want.Source, r.have.Path, r.have.Digest)
	if err != nil {
		return Published{}, false, at(event.StepStore, err)
	}
	if !intact {
		r.sink(event.Event{Lost: &event.Lost{Path: r.have.Path}})
	}
	return published, intact, nil
}

// newest finds the revision to have: one list and one HEAD at most, shared
// with all sources of the repository; none for a pinned digest.
func (r *run) newest(ctx context.Context) (artifact.Revision, error) {
	rule := r.want.Rule
	if pinned := rule.Pinned(); pinned != "" {
		return artifact.NewRevision("", pinned), nil
	}
	tag := rule.Tag()
	if rule.NeedsTags() {
		seen, err := r.repo.Tags(ctx, r.want.Ask)
		if err != nil {
			return "", at(event.StepSelect, fmt.Errorf("failed to determine the artifact tag for '%s': %w", r.want.Repository.URL(), err))
		}
		r.moment = Moment{At: seen.At, Jitter: seen.Jitter}
		sel := version.Select(rule, seen.Value, version.Following{Tag: r.have.Revision.Tag(), MayGoBack: r.have.MayGoBack})
		switch {
		case sel.Held:
			r.sink(event.Event{Held: &event.Held{Tag: sel.Tag, Best: sel.Best, Rule: rule.String()}})
			return r.have.Revision, nil
		case sel.Tag == "":
			return "", at(event.StepSelect, fmt.Errorf("failed to determine the artifact tag for '%s': no match found for %s among %d tags",
				r.want.Repository.URL(), rule, len(seen.Value)))
		}
		tag = sel.Tag
	}
	seen, err := r.repo.Resolve(ctx, tag, r.want.Ask)
	if err != nil {
		return "", at(event.StepResolve, fmt.Errorf("failed to determine artifact digest: %w", err))
	}
	r.moment = Moment{At: seen.At, Jitter: seen.Jitter}
	return artifact.NewRevision(tag, seen.Value), nil
}

// publish brings the layer onto the shelf under the source's name.
func (r *run) publish(ctx context.Context, revision artifact.Revision, layer ocispec.Descriptor) (Published, error) {
	if layer.Size > r.Limits.Bytes {
		return Published{}, at(event.StepLayer, fmt.Errorf("%w: its layer has %d bytes, %d are allowed", archive.ErrTooLarge, layer.Size, r.Limits.Bytes))
	}
	body, err := r.shelf.Layer(ctx, layer.Digest, layer.Size, Supply{
		Fetch: func(ctx context.Context) (io.ReadCloser, error) { return r.repo.Layer(ctx, layer, r.want.Ask.Timeout) },
		Prove: func(ctx context.Context) error { return r.repo.MayRead(ctx, layer, r.want.Ask) },
	})
	if err != nil {
		return Published{}, at(event.StepLayer, fmt.Errorf("failed to fetch layer of artifact: %w", err))
	}
	defer body.Close()
	file := revision.Digest().String() + ".tar.gz"
	if ctx.Err() != nil {
		return Published{}, at(event.StepStore, ctx.Err()) // called off: somebody else writes here now
	}
	if r.want.Copy {
		published, err := r.shelf.Publish(r.want.Source, file, func(w io.Writer) error {
			_, err := io.Copy(w, body)
			return err
		})
		return published, at(event.StepStore, err)
	}
	select {
	case r.Unpacking <- struct{}{}:
		defer func() { <-r.Unpacking }()
	case <-ctx.Done():
		return Published{}, at(event.StepLayer, ctx.Err())
	}
	tree, err := archive.Read(body, r.Limits)
	if err != nil {
		return Published{}, at(event.StepLayer, fmt.Errorf("failed to extract layer contents from artifact: %w", err))
	}
	skip, err := ignore.ForSource(tree, r.want.Ignore)
	if err != nil {
		return Published{}, at(event.StepLayer, err)
	}
	if ctx.Err() != nil {
		return Published{}, at(event.StepStore, ctx.Err())
	}
	published, err := r.shelf.Publish(r.want.Source, file, func(w io.Writer) error {
		return archive.Write(w, tree, archive.NormalModes, skip)
	})
	return published, at(event.StepStore, err)
}

// movedBack notices that one and the same tag leads to older content than
// before: a re-run of an old pipeline does that. It is followed all the same,
// because that is what a tag means, but not silently.
func (r *run) movedBack(revision artifact.Revision, created string) string {
	before, errBefore := time.Parse(time.RFC3339, r.have.Created)
	now, errNow := time.Parse(time.RFC3339, created)
	if errBefore != nil || errNow != nil || revision.Tag() == "" || revision.Tag() != r.have.Revision.Tag() || !now.Before(before) {
		return ""
	}
	return fmt.Sprintf("tag %s moved back, from content created %s to content created %s", revision.Tag(), r.have.Created, created)
}

func (r *run) reference(revision artifact.Revision) string {
	ref := artifact.Reference{Repository: r.want.Repository, Tag: revision.Tag()}
	if ref.Tag == "" {
		ref.Digest = revision.Digest()
	}
	return ref.String()
}

// failure is an error with the step it happened in.
type failure struct {
	step event.Step
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func at(step event.Step, err error) error {
	if err == nil {
		return nil
	}
	return &failure{step: step, err: err}
}

// failedOf makes the event of an error. Errors that know when to try again say
// so by a method; the text is one line.
func failedOf(err error) *event.Failed {
	failed := &event.Failed{Text: strings.ReplaceAll(err.Error(), "\n", " ")}
	var f *failure
	if errors.As(err, &f) {
		failed.Step = f.step
	}
	var timed interface{ NextTry() time.Time }
	if errors.As(err, &timed) {
		failed.RetryAt = timed.NextTry()
	}
	return failed
}
