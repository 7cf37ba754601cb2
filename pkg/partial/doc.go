// Package partial is a blob on its way to the disk: its bytes come in any order,
// over many connections and many processes, and are hashed in order: out of memory
// where they come in order, and from the file, behind them, where they do not.
// Only when all of them are there and hash to the digest does it give a [Whole],
// which is what stores and directories take.
//
// What was written outlives the process in a data file and a journal beside it,
// which say nothing that has to be believed: a journal names the spans that need
// not be fetched again, and when it lies, or somebody wrote to the data file, the
// digest at the end is wrong and all of it is fetched again. What a journal says
// counts as far as it can be true:
//
//   - after a power loss, the spans that were on disk before the journal was;
//   - after a kill, as long as the machine was not started again, everything that
//     was written, for it is in the page cache;
//   - the saved state of the hash, which no digest proves: as long as the machine
//     was not started again, while the file system says that the data file is
//     exactly as it was when the state was saved, and only of files that nobody
//     else may write to. Otherwise what is there is hashed again while the rest is
//     being fetched.
//
// Most blobs come into a file of their own. An [Area] is one file, or several in a
// row, of which each blob has a window, so that an archive is written in place by
// many blobs at once. It has one journal, keeps to the same rules, and has no state
// of a hash to save: what is in a window is hashed again.
//
// A journal that cannot be read, or is about something else, means to start over,
// and so does a data file of another user, who could write to it at any time.
package partial
