package e2e_test

import (
	"encoding/json"
	"errors"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/rogpeppe/go-internal/testscript"
)

// qrread OUT FILE… reads QR codes from images with another library than the one
// that made them, one a line.
func qrread(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) >= 2, neg, "qrread OUT FILE…")
	var texts []string
	for _, name := range args[1:] {
		f, err := os.Open(ts.MkAbs(name))
		ts.Check(err)
		img, err := png.Decode(f)
		ts.Check(errors.Join(err, f.Close()))
		bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
		ts.Check(err)
		res, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
		ts.Check(err)
		texts = append(texts, res.GetText())
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(texts, "\n")+"\n"), 0o644))
}

// jsonField VAR FILE NAME sets VAR to a text in the JSON object of FILE; of a digest
// to the part after the colon.
func jsonField(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 3, neg, "jsonfield VAR FILE NAME")
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &object))
	text, ok := object[args[2]].(string)
	if !ok {
		ts.Fatalf("%s has no text %s", args[1], args[2])
	}
	ts.Setenv(args[0], strings.TrimPrefix(text, "sha256:"))
}

// peakEvery is how often a directory is measured while a command runs.
const peakEvery = 20 * time.Millisecond

// peakSlack is what may be in it besides: records of a few kilobytes, and headers.
const peakSlack = 1 << 20

// peaksize DIR SIZE COMMAND ARG… runs a command of scripts, during which the files
// below DIR never have more than SIZE together.
func peaksize(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) >= 3, neg, "peaksize DIR SIZE COMMAND ARG…")
	run, ok := commands[args[2]]
	if !ok {
		ts.Fatalf("%s is no command of scripts", args[2])
	}
	dir, limit := ts.MkAbs(args[0]), parseSize(ts, args[1])
	var peak atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	measure := func() { peak.Store(max(peak.Load(), sizeBelow(dir))) }
	go func() {
		defer close(stopped)
		tick := time.NewTicker(peakEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				measure()
			}
		}
	}()
	func() {
		defer func() { close(stop); <-stopped }() // also when the command fails the script
		run(ts, false, args[3:])
	}()
	measure()
	if peak.Load() > limit+peakSlack {
		ts.Fatalf("%s had up to %d bytes, more than %d", args[0], peak.Load(), limit)
	}
	if peak.Load() < limit {
		ts.Fatalf("%s never had more than %d bytes: the wrong directory was measured", args[0], peak.Load())
	}
}

// sizeBelow adds up the files that are there while others come and go.
func sizeBelow(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}
