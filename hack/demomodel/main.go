// Command demomodel makes the sample model that "make demo" pushes:
//
//	go run ./hack/demomodel [-shards 4] [-size 2097152] DIR
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/modseal/modseal/hack/samplemodel"
)

func main() {
	var o samplemodel.Options
	flag.IntVar(&o.Shards, "shards", 4, "number of safetensors files")
	flag.Int64Var(&o.Size, "size", 2<<20, "bytes of all weights, about")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: demomodel [-shards N] [-size BYTES] DIR")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := samplemodel.Write(flag.Arg(0), o); err != nil {
		fmt.Fprintln(os.Stderr, "demomodel:", err)
		os.Exit(1)
	}
}
