package health

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// Each of these would hold a worker for seconds to for ever, or take gigabytes,
// if it were let.
func TestHostileExpressions(t *testing.T) {
	many := "[" + strings.Repeat("1,", 300) + "1]"
	big := "'" + strings.Repeat("a", 20000) + "'"
	for name, text := range map[string]string{
		"loops":               many + ".all(a, " + many + ".all(b, " + many + ".all(c, true)))",
		"comparisons":         "range.all(a, range == range)",
		"searches":            "range.all(a, !(-1 in range))",
		"strings that double": "['aaaaaaaaaaaaaaaa']" + strings.Repeat(".map(a, a + a)", 60) + ".size() > 0",
		"lists that double":   "[[1]]" + strings.Repeat(".map(a, a + a)", 60) + ".size() > 0",
		"lists that share":    "[[1]]" + strings.Repeat(".map(a, [a, a])", 60) + ".exists(y, y == y)",
		"maps that share":     "[{1: 1}]" + strings.Repeat(".map(a, {1: a, 2: a})", 60) + ".exists(y, y == y)",
		"nested sharing":      strings.Repeat("[[1]].all(a, [[a, a]].all(b, [[b, b]].all(a, ", 8) + "a == a" + strings.Repeat(")))", 8),
		"options that repeat": "optional.of(1)" + strings.Repeat(".optMap(v, v + 1)", 40) + ".hasValue()",
		"optional strings":    "optional.of('" + strings.Repeat("a", 1000) + "')" + strings.Repeat(".optMap(v, "+strings.Repeat("v + ", 30)+"v)", 8) + ".hasValue()",
		"optional lists":      "optional.of([1])" + strings.Repeat(".optMap(v, "+strings.Repeat("v + ", 30)+"v)", 8) + ".optMap(v, 2 in v).value()",
		"replace":             big + ".replace('', " + big + ").size() > 0",
		"join":                "range.map(i, 'aaaaaaaaaaa').join(" + big + ") == ''",
		"format":              "'" + strings.Repeat("%s", 2000) + "'.format([" + strings.Repeat("range,", 1999) + "range]) == ''",
		"sets":                "sets.contains(range, range)",
		"a slow pattern":      "range.all(a, " + big + ".matches('(a*)*b" + strings.Repeat("a?", 1000) + "'))",
		"brackets":            strings.Repeat("(", 100000) + "true" + strings.Repeat(")", 100000),
	} {
		t.Run(name, func(t *testing.T) {
			numbers := make([]any, 50_000)
			for i := range numbers {
				numbers[i] = int64(i)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			e, err := ParseExpression(text)
			if err == nil {
				_, err = e.Holds(map[string]any{"range": numbers})
			}
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Error("it was let")
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
			if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 500 {
				t.Errorf("it took %d MiB", took)
			}
		})
	}
}

// What people write stays far below the limits.
func TestFriendlyExpressions(t *testing.T) {
	var conditions []any
	for range 1000 {
		conditions = append(conditions, map[string]any{"type": "Ready", "status": "True", "message": strings.Repeat("fine ", 50)})
	}
	object := map[string]any{"status": map[string]any{"conditions": conditions}}
	for _, text := range []string{
		"status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True')",
		"status.conditions.map(e, {'type': e.type, 'status': e.status, 'all': [e.type, e.status]}).exists(e, e.type == 'Ready')",
		"status.conditions.exists(e, e.message.contains('fine') && e.message.matches('^fine .*$'))",
		"status.conditions.all(e, e.status in ['True', 'Unknown'])",
		"status.conditions.map(e, e.type).filter(t, t != 'x').map(t, t.lowerAscii()).exists(t, t == 'ready')",
		"['a', 'b'].join('-') == 'a-b' && ['a', 'b'].join() == 'ab' && 'aXbX'.replace('X', 'y') == 'ayby' && 'aXbX'.replace('X', 'y', 1) == 'aybX'",
		"'%s-%d'.format(['x', 3]) == 'x-3' && sets.contains([1, 2], [2]) && sets.equivalent([1], [1, 1]) && sets.intersects([1, 2], [2, 3])",
		"status.?missing.orValue('none') == 'none' && base64.decode('YQ==') == b'a' && 1 < 1.5",
		"timestamp('2026-01-01T00:00:00Z').getHours() == 0",
	} {
		e, err := ParseExpression(text)
		if err != nil {
			t.Error(err)
			continue
		}
		if holds, err := e.Holds(object); err != nil || !holds {
			t.Errorf("%s: %v, %v", text, holds, err)
		}
	}
}
