package transfer

import (
	"context"
	"time"

	"github.com/modseal/modseal/pkg/fileid"
)

// drop ends the session, there and here.
func (j *upload) drop(ctx context.Context) {
	if j.session != nil {
		j.session.abandon(ctx)
	}
	j.forget()
}

// forget ends the session here: the registry has none.
func (j *upload) forget() {
	j.session, j.acked, j.resumed = nil, 0, false
	j.earlier, j.reused = false, 0
	j.tally.set(0)
	j.journal.clear()
}

// takeUp looks for what an earlier process left of this upload.
func (j *upload) takeUp(ctx context.Context) {
	dir := j.u.journals()
	if dir == "" || j.blob.Identity == "" || j.blob.Size == 0 {
		return
	}
	j.u.look.Do(func() { j.u.left = leftJournals(dir, j.u.host(), j.u.repo.Reference().Repository) })
	for _, l := range j.u.left {
		if l.Identity != j.blob.Identity && fileid.SameFile(l.Identity, j.blob.Identity) {
			j.u.cancelLeft(ctx, dir, l)
		}
	}
	if j.openJournal(dir) != nil {
		return // another process is at it: never two writers in one session
	}
	if j.left == nil {
		return
	}
	at, ok := j.left.location(j.u.repo)
	if !ok {
		j.left = nil
		return
	}
	j.session, j.resumed, j.earlier = &session{u: j.u, location: at}, true, true
	if j.pour != nil {
		j.pour.restore(j.left.HashOffset, j.left.HashState)
	}
	if j.blob.Size < resumeFrom {
		j.drop(ctx)
	}
}

func (j *upload) openJournal(dir string) (err error) {
	j.journal, j.left, err = openJournal(dir, entry{
		Version: journalVersion, Registry: j.u.host(), Repository: j.u.repo.Reference().Repository,
		Name: j.blob.Name, Identity: j.blob.Identity, Size: j.blob.Size, Mode: j.u.o.Mode,
	})
	return err
}

// cancelLeft cancels the upload of a file that has changed since.
func (u *Uploader) cancelLeft(ctx context.Context, dir string, l leftJournal) {
	journal, left, err := openJournal(dir, l.entry)
	if err != nil {
		return
	}
	defer journal.remove()
	if left == nil {
		return
	}
	if at, ok := left.location(u.repo); ok {
		(&session{u: u, location: at}).abandon(ctx)
	}
}

// note writes the journal: where the session is, and what was hashed.
func (j *upload) note() {
	j.journal.write(func(e *entry) {
		if j.session == nil {
			return
		}
		if e.Location == "" || e.Started == 0 {
			e.Started = time.Now().Unix()
		}
		e.Location, e.Offset = j.session.location.String(), j.acked
		if j.hasher != nil {
			e.HashState, e.HashOffset = j.hasher.newest()
		}
		if j.pour != nil {
			e.HashOffset, e.HashState = j.pour.noted()
		}
	})
}

// tick is called now and then while bytes move.
func (j *upload) tick(n int64) {
	j.tally.set(n)
	if j.journal.due() {
		j.note()
	}
}
