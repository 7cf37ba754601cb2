//go:build linux

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func sampleReport() *report {
	second := func(tool string, w work, round int, s float64) Run {
		d := time.Duration(s * float64(time.Second))
		return Run{
			Tool: tool, Work: w, Round: round, Cost: Cost{Wall: d, User: d / 2, Peak: 32 << 20, Read: 1 << 20},
			Up: -1, Down: -1, DiskPeak: -1, DiskAfter: -1, FilesRead: -1,
		}
	}
	r := &report{
		Shards: 4, Repeat: 3, Versions: map[string]string{}, Why: map[string]map[work]string{"kit": {pull: "it takes <anything> & all"}},
		tools: []tool{{name: "modseal"}, {name: "oras"}, {name: "kit"}, {name: floorName}},
	}
	for round, s := range []float64{9, 1, 3, 2} {
		r.Runs = append(r.Runs, second("modseal", push, round, s), second("oras", push, round, 2*s), second(floorName, push, round, s))
		r.Runs = append(r.Runs, second("modseal", pull, round, s), second("oras", pull, round, 4*s), second("kit", pull, round, s))
	}
	return r
}

// The first round is in no median, and a tool that failed has no number.
func TestFigures(t *testing.T) {
	r := sampleReport()
	f, ok := r.figure("modseal", push)
	if !ok || f.n != 3 || f.wall != 2*time.Second || f.shortest != time.Second || f.most != 3*time.Second {
		t.Errorf("figure %+v, want 3 runs of 1 to 3 seconds around 2", f)
	}
	if _, ok := r.figure("kit", pull); ok {
		t.Error("a tool that was left out has a figure")
	}
	if _, ok := r.figure("oras", repush); ok {
		t.Error("a work that nobody did has a figure")
	}
}

// A target that is missed is said to be, and so is one that was not measured.
func TestTargets(t *testing.T) {
	rows := strings.Split(sampleReport().markdownTargets(), "\n")
	for _, test := range []struct{ begin, verdict string }{
		{"| push of a new model | ≤ 0.80 × oras | 0.50 ×", "| met |"},
		{"|  | ≤ 0.50 × modctl build + push | –", "| not measured |"},
		{"|  | ≤ 1.10 × the floor | 1.00 ×", "| met |"},
		{"| pull and verify | ≤ 0.55 × oras | 0.25 ×", "| met |"},
	} {
		found := false
		for _, row := range rows {
			found = found || strings.HasPrefix(row, test.begin) && strings.HasSuffix(row, test.verdict)
		}
		if !found {
			t.Errorf("no row begins with %q and ends with %q:\n%s", test.begin, test.verdict, strings.Join(rows, "\n"))
		}
	}
	slow := sampleReport()
	for i := range slow.Runs {
		if slow.Runs[i].Tool == "modseal" {
			slow.Runs[i].Wall *= 10
		}
	}
	if text := slow.markdownTargets(); !strings.Contains(text, "**missed**") {
		t.Errorf("a target that is missed does not say so:\n%s", text)
	}
}

func TestPlotIsWellFormed(t *testing.T) {
	text := sampleReport().svg()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
	}
	for _, want := range []string{"push of a new model", "floor 2.00 s", "seconds, less is better"} {
		if !strings.Contains(text, want) {
			t.Errorf("the plot has no %q", want)
		}
	}
}

func TestAxis(t *testing.T) {
	for _, test := range []struct{ longest, end, step float64 }{
		{0, 1, 0.5}, {0.9, 1, 0.2}, {1, 1, 0.2}, {6, 6, 1}, {7, 8, 2}, {21.3, 25, 5}, {47, 50, 10},
	} {
		end, step := axis(test.longest)
		if diff := end - test.end; diff > 1e-9 || diff < -1e-9 || step != test.step {
			t.Errorf("axis(%v) = %v, %v; want %v, %v", test.longest, end, step, test.end, test.step)
		}
	}
}

func TestUpdateBlock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(name, []byte("before\n"+blockBegin+"\nold\n"+blockEnd+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it finds what it wrote
		if err := sampleReport().updateBlock(name, "docs/bench.svg"); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s := string(text)
	if !strings.HasPrefix(s, "before\n"+blockBegin) || !strings.HasSuffix(s, blockEnd+"\nafter\n") || strings.Contains(s, "old") ||
		strings.Count(s, "push of a new model") != 1 {
		t.Errorf("the file is now\n%s", s)
	}
}
