package deliver

import (
	"encoding/base64"
	"strconv"
	"strings"
)

const masked = "*****"

// mask takes values that came out of Secrets out of a text: as they are, as
// they are quoted, and as a Secret holds them.
func (r *rollout) mask(text string) string {
	if r.built == nil {
		return text
	}
	for _, value := range r.built.Secrets {
		quoted := strconv.Quote(value)
		for _, form := range []string{quoted[1 : len(quoted)-1], base64.StdEncoding.EncodeToString([]byte(value)), value} {
			text = strings.ReplaceAll(text, form, masked)
		}
	}
	return text
}
