// Package materialize writes the files of a verified model into a directory. It
// is where bytes from elsewhere reach the disk, so it takes a verify.Verified and
// no reference, and trusts nothing but digests:
//
//   - Every layer is compared with its digest while it streams into a staging
//     directory, [StagingName], beside the files. Members of tar layers are
//     unpacked there in the same pass, and compared with what was signed about
//     them.
//   - Only when every file is staged and good are they renamed to their names.
//     A refused, failed, cancelled or killed call leaves no new file under its
//     final name; a later call takes over what was verified.
//   - Everything goes through os.Root. No link is created, and none is followed
//     below the directory: one in the place of a file or of its parent is an
//     error.
//   - A file that is there is used again when its bytes hash to the digest. A
//     state record saves the reading while the file system says that the file
//     was not touched; the record is a cache and decides nothing else but which
//     files modseal may replace or remove.
//   - Of the metadata only "executable by its owner" is applied.
//
// What was reported as done survives a crash: files and directories are synced
// before the record says so.
package materialize
