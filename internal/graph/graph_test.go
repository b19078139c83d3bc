package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// parse reads "a:b,c d:a": a needs b and c, d needs a.
func parse(text string) map[string][]string {
	needs := map[string][]string{}
	for _, part := range strings.Fields(text) {
		name, list, _ := strings.Cut(part, ":")
		needs[name] = append(needs[name], strings.FieldsFunc(list, func(r rune) bool { return r == ',' })...)
	}
	return needs
}

func text(names []string) string { return strings.Join(names, " ") }

func TestOrder(t *testing.T) {
	for graph, want := range map[string]string{
		"":                         " | ",
		"b a":                      "a b | ",
		"a:b b:c":                  "c b a | ",
		"a:c b:c":                  "c a b | ",
		"a:b b:a":                  " | a b",
		"a:a b":                    "b | a",
		"a:b b:a c:a d e:c f:d":    "d f | a b c e",
		"app:db,cache db:net net:": "cache net db app | ",
	} {
		order, stuck := Of(cmp.Compare, parse(graph)).Order()
		if got := text(order) + " | " + text(stuck); got != want {
			t.Errorf("%q: got %q, want %q", graph, got, want)
		}
	}
}

func TestCycle(t *testing.T) {
	for _, test := range []struct{ graph, of, want string }{
		{"a:b b:c", "a", ""},
		{"a:a", "a", "a"},
		{"a:b b:a", "a", "a b"},
		{"a:b b:a", "b", "a b"},
		{"c:a a:b b:c", "c", "a b c"},
		{"d:a a:b b:a", "d", ""},              // needs a cycle, is not in it
		{"a:b b:a,d d:", "d", ""},             // is needed by one
		{"a:b b:c c:d,a d:a", "d", "a b c d"}, // its own, though there is a shorter
		{"a:b b:c c:d,a d:a", "a", "a b c"},   // the shortest
		{"m:z,y z:m y:m", "m", "m y"},         // the smaller of two
		{"m:z,y z:m y:m", "z", "m z"},         // its own
		{"a:b b:a c:d d:c a:c", "d", "c d"},   // not the other
		{"a:b", "nobody", ""},                 // unknown
		{"a:b,c b:d c:d d:a", "a", "a b d"},   // by the smaller
		{"c:b b:a a:c,x x:y y:x", "x", "x y"}, // far away
		{"a:b b:c c:b", "b", "b c"},           // a member
		{"a:b b:c c:b", "a", ""},              // in front of it
		{"a:b,b b:a,a", "a", "a b"},           // named twice
		{"z:a a:z,a", "a", "a"},               // itself first
		{"z:a a:z,a", "z", "a z"},             // through one that needs itself
	} {
		if got := text(Of(cmp.Compare, parse(test.graph)).Cycle(test.of)); got != test.want {
			t.Errorf("%q of %s: got %q, want %q", test.graph, test.of, got, test.want)
		}
	}
}

func TestWhoBlocksWhom(t *testing.T) {
	g := Of(cmp.Compare, parse("app:db,cache web:app,db db:net x:x"))
	for _, test := range []struct {
		what      string
		got, want []string
	}{
		{"names", g.Names(), []string{"app", "cache", "db", "net", "web", "x"}},
		{"needs", g.Needs("web"), []string{"app", "db"}},
		{"dependents", g.Dependents("db"), []string{"app", "web"}},
		{"dependents of the last", g.Dependents("web"), nil},
		{"blockers", g.Blockers("web"), []string{"app", "cache", "db", "net"}},
		{"blockers of the first", g.Blockers("net"), nil},
		{"blockers of a cycle", g.Blockers("x"), []string{"x"}},
	} {
		if diff := gocmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("%s: %s", test.what, diff)
		}
	}
}

func anyGraph(t *rapid.T) map[int][]int {
	return rapid.MapOf(rapid.IntRange(0, 7), rapid.SliceOfN(rapid.IntRange(0, 7), 0, 4)).Draw(t, "needs")
}

func TestOrderOfAnyGraph(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		needs := anyGraph(t)
		g := Of(cmp.Compare, needs)
		order, stuck := g.Order()
		if diff := gocmp.Diff(g.Names(), g.sorted(append(slices.Clone(order), stuck...))); diff != "" {
			t.Fatal(diff)
		}
		for i, name := range order {
			for _, needed := range needs[name] {
				if at := slices.Index(order, needed); at < 0 || at >= i {
					t.Errorf("%d comes before %d, which it needs", name, needed)
				}
			}
		}
		for _, name := range stuck {
			if !slices.ContainsFunc(append(g.Blockers(name), name), func(b int) bool { return g.Cycle(b) != nil }) {
				t.Errorf("%d is stuck without a cycle", name)
			}
		}
	})
}

func TestCyclesOfAnyGraph(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		needs := anyGraph(t)
		g := Of(cmp.Compare, needs)
		for _, name := range g.Names() {
			cycle := g.Cycle(name)
			if member := slices.Contains(g.Blockers(name), name); member != (cycle != nil) {
				t.Fatalf("%d: a member is %v, the cycle is %v", name, member, cycle)
			}
			if cycle == nil {
				continue
			}
			if !slices.Contains(cycle, name) || cycle[0] != slices.Min(cycle) || len(g.sorted(cycle)) != len(cycle) {
				t.Fatalf("%d: %v", name, cycle)
			}
			for i, from := range cycle {
				if to := cycle[(i+1)%len(cycle)]; !slices.Contains(needs[from], to) {
					t.Fatalf("%v: %d does not need %d", cycle, from, to)
				}
			}
		}
	})
}

// Dependents is Needs backwards.
func TestDependentsOfAnyGraph(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := Of(cmp.Compare, anyGraph(t))
		for _, a := range g.Names() {
			for _, b := range g.Names() {
				if slices.Contains(g.Needs(a), b) != slices.Contains(g.Dependents(b), a) {
					t.Fatalf("%d and %d", a, b)
				}
			}
		}
	})
}

func FuzzGraph(f *testing.F) {
	f.Add("a:b b:c c:a d:a")
	f.Add("a:a,b,c b")
	f.Fuzz(func(t *testing.T, in string) {
		if len(in) > 1000 {
			t.Skip()
		}
		var answers []string
		for range 2 { // the order of a map must not be seen
			g := Of(cmp.Compare, parse(in))
			order, stuck := g.Order()
			all := fmt.Sprint(order, stuck)
			for _, name := range g.Names() {
				all += fmt.Sprint(g.Cycle(name), g.Blockers(name))
			}
			answers = append(answers, all)
		}
		if answers[0] != answers[1] {
			t.Errorf("first %s, then %s", answers[0], answers[1])
		}
	})
}
