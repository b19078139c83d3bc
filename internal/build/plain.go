package build

import (
	"regexp"
	"strings"
)

// kustomize reads each resource first as a file, then as a directory, and
// reports both ways. Only one of them says anything.
var noise = []struct {
	found *regexp.Regexp
	plain string
}{
	// It is a directory: what went wrong with the file is that it is none.
	{regexp.MustCompile(`accumulation err='accumulating resources from '[^']*': cannot read content from non-file '[^']*'': `), ""},
	// It is a file: what went wrong with the directory is that it is none.
	{regexp.MustCompile(`accumulation err='(.*)': must build at directory: (?:'[^']*': file is not directory|not a valid directory: '[^']*' doesn't exist)("?)$`), "$1$2"},
	// Which directory it is about, in one way of saying it.
	{regexp.MustCompile(`(?:accumulating resources: )?(?:recursed accumulation of|couldn't make target for) path '([^']*)': `), "in $1: "},
	{regexp.MustCompile(`accumulating components: accumulateDirectory: "(.*)"$`), "$1"},
	// What is in the objects, which may be Secrets.
	{regexp.MustCompile(`ID conflict: \[\{.*?"kind":"([^"]*)","metadata":\{(?:.*?[,{])?"name":"([^"]*)".*\}\]`), "ID conflict: more than one $1/$2"},
	{regexp.MustCompile("(?s)trouble configuring builtin ([A-Za-z0-9]+) with config: `.*?\n`: "), "configuring $1: "},
	{regexp.MustCompile(`(?s)\[patch: ".*?"\]`), "an inline patch"},
	{regexp.MustCompile(`(?s)literal sources \[.*expected key=value`), "a literal is not of the form key=value"},
	{regexp.MustCompile(`(?s)literal sources \[.*\]: `), "literal sources: "},
	{regexp.MustCompile(`accumulating resources: ((?:accumulating|merging) resources from )`), "$1"},
}

// plain is the text of an error of kustomize with paths inside the bundle and
// without what it says twice.
func plain(text string) string {
	text = strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(text, root+"/", ""), root, "."))
	for _, n := range noise {
		for before := ""; before != text; {
			before, text = text, n.found.ReplaceAllString(text, n.plain)
		}
	}
	return text
}
