package deliver

import "time"

// supersedes decides whether a changed wish ends the roll-out that waits for an
// older one (engine rule 3). Passes do not overlap, so nothing is being written
// when it is asked; but a stage may be half written.
func (d *Delivery) supersedes(o Occasion, want wish, now time.Time) bool {
	r, old := d.run, d.run.wish
	if old.generation != want.generation || old.requested != want.requested || old.allowed != want.allowed {
		return true // somebody asked for it
	}
	if r.writing {
		return false
	}
	if r.begun() && !d.engine.Policy.Supersede {
		return false
	}
	if d.hungry.IsZero() {
		d.hungry = r.started
	}
	// Finish this one first, or no one would ever be finished.
	return !r.begun() || !d.starved(o, now)
}

// starved tells whether newer revisions have kept a Kustomization from being
// Ready for as long as its timeout.
func (d *Delivery) starved(o Occasion, now time.Time) bool {
	return !d.hungry.IsZero() && now.Sub(d.hungry) >= o.Kustomization.GetTimeout()
}

// begun tells whether the roll-out has got further than waiting for its turn.
func (r *rollout) begun() bool { return r.announced || r.applied }
