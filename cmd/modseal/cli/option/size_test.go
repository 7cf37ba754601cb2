package option_test

import (
	"testing"

	"github.com/modseal/modseal/cmd/modseal/cli/option"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "25GB": 25e9, "4GiB": 4 << 30, "700MB": 700e6, "512KiB": 512 << 10, "12B": 12, "2TiB": 2 << 40,
	} {
		var s option.Size
		if err := s.Set(text); err != nil || int64(s) != want {
			t.Errorf("%s = %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "0", "0GiB", "-1", "4G", "4gib", "4 GiB", "1.5GB", "9999999999999999999", "9000000000TiB", "GiB", "4GiBB"} {
		var s option.Size
		if err := s.Set(text); err == nil {
			t.Errorf("%q = %d", text, s)
		}
	}
}
