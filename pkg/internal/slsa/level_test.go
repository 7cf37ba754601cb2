package slsa_test

import (
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/internal/slsa"
)

func TestMeets(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		have, want string
		meets      bool
	}{
		{"SLSA_BUILD_LEVEL_2", "SLSA_BUILD_LEVEL_2", true},
		{"SLSA_BUILD_LEVEL_3", "SLSA_BUILD_LEVEL_2", true},
		{"SLSA_BUILD_LEVEL_3", "SLSA_BUILD_LEVEL_0", true},
		{"SLSA_BUILD_LEVEL_10", "SLSA_BUILD_LEVEL_9", true}, // by number, not by text
		{"SLSA_BUILD_LEVEL_1", "SLSA_BUILD_LEVEL_2", false},
		{"SLSA_SOURCE_LEVEL_3", "SLSA_BUILD_LEVEL_2", false},
		{"SLSA_BUILD_LEVEL_1 SLSA_BUILD_LEVEL_3", "SLSA_BUILD_LEVEL_2", true},
		{"SLSA_BUILD_LEVEL_UNEVALUATED", "SLSA_BUILD_LEVEL_UNEVALUATED", true},
		{"SLSA_BUILD_LEVEL_3", "SLSA_BUILD_LEVEL_UNEVALUATED", false},
		{"SLSA_BUILD_LEVEL_UNEVALUATED", "SLSA_BUILD_LEVEL_0", false},
		{"SLSA_BUILD_LEVEL_3x", "SLSA_BUILD_LEVEL_2", false},
		{"XSLSA_BUILD_LEVEL_3", "SLSA_BUILD_LEVEL_2", false},
		{"SLSA_BUILD_LEVEL_9999", "SLSA_BUILD_LEVEL_2", false},
		{"MODSEAL_POLICY_PASSED", "MODSEAL_POLICY_PASSED", true},
		{"MODSEAL_LEVEL_3", "MODSEAL_LEVEL_2", false}, // what others count nobody knows
		{"", "SLSA_BUILD_LEVEL_0", false},
	} {
		if got := slsa.Meets(strings.Fields(row.have), row.want); got != row.meets {
			t.Errorf("%q meets %q: %v", row.have, row.want, got)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"SLSA_BUILD_LEVEL_0", "SLSA_BUILD_LEVEL_3", "SLSA_BUILD_LEVEL_UNEVALUATED", "SLSA_SOURCE_LEVEL_4", "MODSEAL_POLICY_PASSED", "a level"} {
		if err := slsa.Check(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"": "empty", " ": "empty", "FAILED": "verification failed",
		"SLSA_BUILD_LEVEL3": "SLSA's own", "SLSA_LEVEL_3": "SLSA's own", "SLSA_BUILD_LEVEL_": "SLSA's own", "SLSA_MINE": "SLSA's own",
	} {
		if err := slsa.Check(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestTrack(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		track  string
		number int
	}{"SLSA_BUILD_LEVEL_3": {"SLSA_BUILD", 3}, "SLSA_TWO_WORDS_LEVEL_UNEVALUATED": {"SLSA_TWO_WORDS", -1}} {
		if track, number, ok := slsa.Track(name); !ok || track != want.track || number != want.number {
			t.Errorf("%s: %s %d %v", name, track, number, ok)
		}
	}
	if _, _, ok := slsa.Track("FAILED"); ok {
		t.Error("FAILED has a track")
	}
}
