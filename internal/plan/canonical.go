package plan

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// canonical is a text for a JSON value: equal values have equal texts, whatever
// Go types they were decoded into.
func canonical(value any) string {
	var b strings.Builder
	writeCanonical(&b, value)
	return b.String()
}

func writeCanonical(w io.Writer, value any) {
	switch v := value.(type) {
	case nil:
		io.WriteString(w, "null")
	case map[string]any:
		io.WriteString(w, "{")
		for _, key := range slices.Sorted(maps.Keys(v)) {
			fmt.Fprintf(w, "%q:", key)
			writeCanonical(w, v[key])
			io.WriteString(w, ",")
		}
		io.WriteString(w, "}")
	case []any:
		io.WriteString(w, "[")
		for _, item := range v {
			writeCanonical(w, item)
			io.WriteString(w, ",")
		}
		io.WriteString(w, "]")
	case string:
		io.WriteString(w, strconv.Quote(v))
	case bool:
		io.WriteString(w, strconv.FormatBool(v))
	case int:
		io.WriteString(w, strconv.Itoa(v))
	case int32:
		io.WriteString(w, strconv.Itoa(int(v)))
	case int64:
		io.WriteString(w, strconv.FormatInt(v, 10))
	case float64:
		io.WriteString(w, number(v))
	case json.Number:
		writeNumber(w, v)
	default:
		fmt.Fprintf(w, "%T(%v)", v, v)
	}
}

func writeNumber(w io.Writer, n json.Number) {
	if i, err := n.Int64(); err == nil {
		io.WriteString(w, strconv.FormatInt(i, 10))
	} else if f, err := n.Float64(); err == nil {
		io.WriteString(w, number(f))
	} else {
		io.WriteString(w, n.String())
	}
}

// number writes a whole number as an integer: JSON has one kind of number, and
// decoders choose the Go type by what they see.
func number(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return strconv.FormatInt(int64(f), 10)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}
