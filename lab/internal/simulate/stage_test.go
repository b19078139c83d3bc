package simulate

import (
	"testing"
	"time"

	"github.com/sluice-dev/sluice/lab/internal/steer"
)

func wish(b steer.Behavior, after string) steer.Wish {
	annotations := map[string]string{}
	if b != "" {
		annotations[steer.BehaviorAnnotation] = string(b)
	}
	if after != "" {
		annotations[steer.AfterAnnotation] = after
	}
	w, _ := steer.Read(annotations, steer.PodBehaviors)
	return w
}

func TestStageAt(t *testing.T) {
	server := shape{mayRestart: true}
	job := shape{completes: true}
	retrying := shape{completes: true, mayRestart: true}
	for _, tc := range []struct {
		name  string
		shape shape
		wish  steer.Wish
		age   string
		want  stageKind
		ready bool
		until string // "0s": this is the last stage
	}{
		{"new", server, wish("", ""), "0s", creating, false, "1s"},
		{"ready", server, wish("", ""), "1s", running, true, "0s"},
		{"at once", server, wish("", "0s"), "0s", running, true, "0s"},
		{"late, running", server, wish("", "20s"), "19s", running, false, "20s"},
		{"late, ready", server, wish("", "20s"), "20s", running, true, "0s"},
		{"hang", server, wish(steer.Hang, ""), "1h", running, false, "0s"},
		{"job hangs", job, wish(steer.Hang, ""), "1h", running, false, "0s"},
		{"unready", server, wish(steer.Unready, ""), "2s", running, false, "0s"},
		{"unready later, before", server, wish(steer.Unready, "1m"), "59s", running, true, "1m"},
		{"unready later, after", server, wish(steer.Unready, "1m"), "60s", running, false, "0s"},
		{"job runs", job, wish("", ""), "0s", running, true, "1s"},
		{"job completes", job, wish("", ""), "1s", succeeded, false, "0s"},
		{"job takes its time", job, wish("", "10s"), "9s", running, true, "10s"},
		{"job fails", job, wish(steer.Fail, ""), "1s", failed, false, "0s"},
		{"job that may restart fails too", retrying, wish(steer.Fail, ""), "1s", failed, false, "0s"},
		{"job crashes without restart", job, wish(steer.CrashLoop, ""), "1s", failed, false, "0s"},
		{"job crash-loops", retrying, wish(steer.CrashLoop, ""), "3s", backingOff, false, "13s"},
		{"server that fails crash-loops", server, wish(steer.Fail, ""), "3s", backingOff, false, "13s"},
		{"pull, waiting", server, wish(steer.ImagePullError, ""), "100ms", creating, false, "500ms"},
		{"pull, failed", server, wish(steer.ImagePullError, ""), "1s", pullFailed, false, "1500ms"},
		{"pull, backing off", server, wish(steer.ImagePullError, ""), "1h", pullFailed, false, "0s"},
		{"image that does not exist", shape{badImage: true}, wish("", ""), "1h", pullFailed, false, "0s"},
		{"image that is no reference", shape{badReference: true}, wish("", ""), "0s", pullFailed, false, "0s"},
		{"unschedulable once bound", server, wish(steer.Unschedulable, ""), "1s", running, true, "0s"},
		{"works, then crashes", server, wish(steer.CrashLoop, "30s"), "30s", running, true, "31s"},
		{"has worked, crashes", server, wish(steer.CrashLoop, "30s"), "31s", running, false, "32s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			age, _ := time.ParseDuration(tc.age)
			until, _ := time.ParseDuration(tc.until)
			got := stageAt(tc.shape, tc.wish, age)
			if got.kind != tc.want || got.ready != tc.ready || got.until != until {
				t.Errorf("got kind %d ready %v until %s, want kind %d ready %v until %s",
					got.kind, got.ready, got.until, tc.want, tc.ready, until)
			}
		})
	}
}

// The restart count must grow for ever, never fall, and back off like a kubelet's.
func TestCrashLoop(t *testing.T) {
	var age time.Duration
	var restarts int32
	var waits []time.Duration
	for range 40 {
		s := stageAt(shape{mayRestart: true}, wish(steer.CrashLoop, ""), age)
		if s.restarts < restarts || s.restarts > restarts+1 {
			t.Fatalf("restarts went from %d to %d at %s", restarts, s.restarts, age)
		}
		restarts = s.restarts
		if s.kind == backingOff {
			waits = append(waits, s.backOff)
		}
		if s.until <= age {
			t.Fatalf("no progress at %s: %+v", age, s)
		}
		age = s.until
	}
	for i, want := range []time.Duration{10, 20, 40, 80, 160, 300, 300, 300} {
		if waits[i] != want*time.Second {
			t.Errorf("back-off %d is %s, want %ds", i, waits[i], want)
		}
	}
	// Walked and skipped time must agree.
	far := 48 * time.Hour
	a, b := stageAt(shape{mayRestart: true}, wish(steer.CrashLoop, ""), far), stageAt(shape{mayRestart: true}, wish(steer.CrashLoop, ""), far+maxBackOff+usualRun)
	if b.restarts != a.restarts+1 || b.until-a.until != maxBackOff+usualRun {
		t.Errorf("one period on: %+v, then %+v", a, b)
	}
}
