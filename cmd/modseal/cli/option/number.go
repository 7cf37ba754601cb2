package option

import (
	"fmt"
	"strconv"

	"github.com/spf13/pflag"
)

// number is a flag that takes a number of things. 0 stands for the default.
type number struct{ value *int }

// Number returns the value of a flag that takes a number of things, which is none
// below 0.
func Number(value *int) pflag.Value { return number{value} }

func (n number) String() string { return strconv.Itoa(*n.value) }
func (number) Type() string     { return "int" }

func (n number) Set(v string) error {
	parsed, err := strconv.Atoi(v)
	if err != nil || parsed < 0 {
		return fmt.Errorf("%q is no number such as 4", v)
	}
	*n.value = parsed
	return nil
}
