package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/modseal/modseal/cmd/modseal/cli/render"
)

// record is a file that will say what a command did. Until then it is beside its
// name, so that a name never holds half a record.
type record struct {
	name string
	temp *os.File // nil: nobody asked for one
}

// newRecord makes sure that a record can be written before anything is done.
func newRecord(name string) (*record, error) {
	if name == "" {
		return &record{}, nil
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		var at *os.PathError // of a name that nobody gave
		if errors.As(err, &at) {
			err = at.Err
		}
		return nil, fmt.Errorf("%s cannot be written: %w", name, err)
	}
	return &record{name: name, temp: f}, nil
}

// write writes v under the name.
func (r *record) write(v any) error {
	if r.temp == nil {
		return nil
	}
	if err := render.JSON(r.temp, v); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return r.place()
}

// place gives what was written its name.
func (r *record) place() error {
	err := r.temp.Close()
	if err == nil {
		err = os.Chmod(r.temp.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(r.temp.Name(), r.name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	r.temp = nil
	return nil
}

// discard removes what did not get its name.
func (r *record) discard() {
	if r.temp != nil {
		_ = r.temp.Close()
		_ = os.Remove(r.temp.Name()) // nothing more can be done
	}
}
