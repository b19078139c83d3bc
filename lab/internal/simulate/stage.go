package simulate

import (
	"strings"
	"time"

	"github.com/distribution/reference"

	"github.com/sluice-dev/sluice/lab/internal/steer"
)

// How long things take when nobody asks for something else.
const (
	usualStart  = time.Second
	usualRun    = time.Second
	usualPull   = 500 * time.Millisecond
	errImageFor = time.Second
)

// noSuchImage in an image reference makes the pull fail without an annotation.
const noSuchImage = "does-not-exist"

type stageKind int

const (
	creating stageKind = iota
	pullFailed
	running
	backingOff
	succeeded
	failed
)

// stage is where a pod is in its life. One stage holds for all its containers,
// except that containers whose image is fine run beside those that cannot be pulled.
type stage struct {
	kind     stageKind
	ready    bool
	started  bool
	reason   string        // of a failed pull
	restarts int32         // of a crash loop
	backOff  time.Duration // of a crash loop
	// Ages: since when the containers run, and when they last exited.
	runsSince, exitedAt, ranFrom time.Duration
	// until is the age at which the next stage begins; zero means never.
	until time.Duration
}

// shape is what of a pod's spec decides about its life.
type shape struct {
	completes    bool // its containers are expected to end
	mayRestart   bool // the kubelet restarts a container that failed
	badImage     bool // at least one image cannot be pulled
	badReference bool // at least one image reference cannot be parsed
}

// stageAt says in which stage a pod is at an age, counted from when its node saw it.
func stageAt(s shape, wish steer.Wish, age time.Duration) stage {
	switch {
	case s.badReference:
		return stage{kind: pullFailed, reason: "InvalidImageName"}
	case s.badImage || wish.Behavior == steer.ImagePullError:
		return pulling(wish.AfterOr(usualPull), age)
	case wish.Behavior == steer.Hang:
		return hanging(age)
	case wish.Behavior == steer.CrashLoop && s.mayRestart, wish.Behavior == steer.Fail && s.mayRestart && !s.completes:
		return crashing(wish, age)
	case wish.Behavior == steer.CrashLoop, wish.Behavior == steer.Fail:
		return ending(failed, wish.AfterOr(usualRun), age)
	case s.completes:
		return ending(succeeded, wish.AfterOr(usualRun), age)
	case wish.Behavior == steer.Unready:
		return turningUnready(wish.AfterOr(0), age)
	}
	return serving(wish.AfterOr(usualStart), age)
}

func serving(after, age time.Duration) stage {
	start := min(after, usualStart)
	switch {
	case age < start:
		return stage{kind: creating, until: start}
	case age < after:
		return stage{kind: running, started: true, runsSince: start, until: after}
	}
	return stage{kind: running, started: true, ready: true, runsSince: start}
}

func turningUnready(after, age time.Duration) stage {
	switch {
	case age < usualStart:
		return stage{kind: creating, until: usualStart}
	case age < after:
		return stage{kind: running, started: true, ready: true, runsSince: usualStart, until: after}
	}
	return stage{kind: running, started: true, runsSince: usualStart}
}

func hanging(age time.Duration) stage {
	if age < usualStart {
		return stage{kind: creating, until: usualStart}
	}
	return stage{kind: running, runsSince: usualStart}
}

func ending(end stageKind, after, age time.Duration) stage {
	if age < after {
		return stage{kind: running, started: true, ready: true, until: after}
	}
	return stage{kind: end, exitedAt: after}
}

func pulling(after, age time.Duration) stage {
	switch {
	case age < after:
		return stage{kind: creating, until: after}
	case age < after+errImageFor:
		return stage{kind: pullFailed, reason: "ErrImagePull", until: after + errImageFor}
	}
	return stage{kind: pullFailed, reason: "ImagePullBackOff"}
}

// The kubelet restarts the first time at once, then after 10 s, doubled each
// time up to 5 minutes.
const (
	firstBackOff = 10 * time.Second
	maxBackOff   = 5 * time.Minute
)

// crashing is the life of a container that exits again and again. A first run of
// a length that the user asked for is a healthy one; the others never get ready.
func crashing(wish steer.Wish, age time.Duration) stage {
	if age < usualStart {
		return stage{kind: creating, until: usualStart}
	}
	starts, run := usualStart, wish.AfterOr(usualRun)
	exits := starts + run
	if age < exits {
		return stage{kind: running, started: true, ready: wish.After != nil, runsSince: starts, until: exits}
	}
	restarts, wait := int32(0), time.Duration(0)
	for {
		ran, exited := starts, exits
		starts, exits = exited+wait, exited+wait+usualRun
		switch {
		case age < starts:
			return stage{kind: backingOff, restarts: restarts, backOff: wait, ranFrom: ran, exitedAt: exited, until: starts}
		case age < exits:
			return stage{kind: running, started: true, restarts: restarts + 1, ranFrom: ran, exitedAt: exited, runsSince: starts, until: exits}
		}
		restarts++
		wait = min(max(2*wait, firstBackOff), maxBackOff)
		if whole := int64((age - exits) / (maxBackOff + usualRun)); wait == maxBackOff && whole > 1 {
			// Days of the same period are skipped rather than walked.
			restarts += int32(whole - 1)
			starts += time.Duration(whole-1) * (maxBackOff + usualRun)
			exits += time.Duration(whole-1) * (maxBackOff + usualRun)
		}
	}
}

func cannotBePulled(image string) bool { return strings.Contains(image, noSuchImage) }

func cannotBeParsed(image string) bool {
	_, err := reference.ParseNormalizedNamed(image)
	return err != nil
}
