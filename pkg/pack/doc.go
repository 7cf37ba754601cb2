// Package pack makes a model artifact out of files: layers through an
// [ingest.Ingester], the ModelPack config that says what the model is, and the
// manifest that binds both.
//
// The same files give the same digests on every machine and every day: no
// clock, no host name, no owner and no order of a directory gets in. Each file
// is read once, by the Ingester, which hashes it on its way; only headers of
// weight files are looked at before, to describe the model.
package pack
