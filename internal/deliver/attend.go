package deliver

import (
	"context"
	"time"
)

// kept is what was delivered last and is attended to until the next roll-out.
type kept struct {
	*rollout
	drift    reversals
	failed   bool      // a later roll-out failed: the status is about that
	bad      time.Time // since when it is not healthy
	lost     bool      // the status says that it is not
	troubles int       // times in a row that nobody could say
}

// attend looks after what was delivered: it reverses drift, takes Ready back
// when health is lost and gives it back when it returns. It asks nobody: it
// reads what watches have brought.
func (d *Delivery) attend(ctx context.Context, o Occasion, now time.Time) Pass {
	k := d.kept
	if k == nil || k.failed {
		return Pass{Again: d.next}
	}
	again := d.next
	if d.engine.Policy.Reverse {
		drifted, due, err := k.drifted(ctx, now)
		if err != nil {
			return Pass{Again: soonest(again, now.Add(k.trouble()))}
		}
		if drifted {
			d.begin(o, now)
			d.run.verify = time.Time{} // the watch said so
			return d.proceed(ctx, o)
		}
		again = soonest(again, due)
	}
	due := d.wellbeing(ctx, o, now)
	return Pass{Again: soonest(soonest(again, due), d.next)}
}

func (k *kept) trouble() time.Duration {
	k.troubles++
	return pause(k.troubles)
}
