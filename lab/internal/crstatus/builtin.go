package crstatus

import "time"

// builtin are the rules for operators whose resources people deploy into a lab.
// A user's rule for the same kind is asked first.
func builtin() []Rule {
	clickHouse := func(group, kind string) Rule {
		return Rule{Group: group, Kind: kind,
			Steps: []Step{
				{After: Delay(100 * time.Millisecond), Status: map[string]any{"status": "InProgress"}},
				{After: Delay(time.Second), Status: map[string]any{"status": "Completed"}},
			},
			Fail: map[string]any{"status": "Aborted", "error": "asked to fail (simulated)"},
		}
	}
	return []Rule{
		clickHouse("clickhouse.altinity.com", "ClickHouseInstallation"),
		clickHouse("clickhouse-keeper.altinity.com", "ClickHouseKeeperInstallation"),
	}
}

// usualFailure is what rules without a failure of their own report: the
// conditions that kstatus understands.
func usualFailure() map[string]any {
	condition := func(kind, status string) map[string]any {
		return map[string]any{"type": kind, "status": status, "reason": "LabFailure",
			"message": "asked to fail (simulated)", "lastTransitionTime": "$now", "observedGeneration": "$generation"}
	}
	return map[string]any{
		"observedGeneration": "$generation",
		"conditions":         []any{condition("Ready", "False"), condition("Stalled", "True")},
	}
}
