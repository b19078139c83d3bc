package plan

import "testing"

// What is paid for each object at each look, and for each event of a watch.
func BenchmarkRecord(b *testing.B) {
	live := recorded(b)
	desired := with(live)
	delete(desired.Object["metadata"].(map[string]any), "managedFields")
	b.Run("RecordOf", func(b *testing.B) {
		for b.Loop() {
			RecordOf(live, nil)
		}
	})
	record := RecordOf(live, nil)
	b.Run("Converged", func(b *testing.B) {
		for b.Loop() {
			record.Converged(desired, Rules{}, Applied{})
		}
	})
}
