// Package modseal packs machine learning models as signed OCI artifacts, stores
// them in any OCI registry, and lets nobody use a byte that policy has not
// accepted. It is the door of the library: one method of [Client] per verb, and
// the only place where the stages of the other packages are composed.
//
// # The way of the data
//
//	directory ─source─▶ files ─pack─▶ Ingester ─┬─▶ registry
//	                                            ├─▶ OCI layout
//	                                            └─▶ nothing (digests only)
//
//	artifact ─statement─▶ sign ─▶ bundle ─referrer─▶ attached to the artifact
//
//	reference ─resolve─▶ digest ─referrer─▶ bundles ─verify─▶ Verified ─materialize─▶ files
//
// # Promises
//
// A reference is resolved once; every later step works on the digest. Bytes are
// checked against their digest while they stream. Files are written only for a
// [verify.Verified], which only verification can make (or the loudly named
// verify.SkipUnsafe), and none appears under its final name before all of them
// are good.
//
// The package reads no environment, writes to no terminal and logs nothing:
// what it needs is in its options, what it has to tell is in its results,
// errors and events. [ClassOf] sorts errors into the classes that a command
// line or a controller branches on.
package modseal
