package build

import (
	"errors"
	"strings"
)

// mask takes the values of Secrets out of an error
// (kustomize-controller internal/controller maskSecretValues).
func mask(err error, secrets []string) error {
	text := err.Error()
	for _, value := range secrets {
		text = strings.ReplaceAll(text, value, "*****")
	}
	if text == err.Error() {
		return err
	}
	if errors.Is(err, ErrNoPath) {
		return masked{text}
	}
	return errors.New(text)
}

// masked is ErrNoPath in other words: the error itself could still be asked
// for its text.
type masked struct{ text string }

func (m masked) Error() string { return m.text }
func (masked) Unwrap() error   { return ErrNoPath }
