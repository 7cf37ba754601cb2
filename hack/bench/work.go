//go:build linux

package main

// work is one of the things that are measured.
type work string

const (
	push           work = "push"
	repush         work = "re-push"
	changed        work = "push-changed"
	pull           work = "pull"
	copying        work = "copy"
	saving         work = "save"
	loading        work = "load"
	hugePush       work = "push-huge" // not measured: it is there for hugePull
	hugePull       work = "pull-huge"
	smallPush      work = "push-small"
	smallPull      work = "pull-small"
	verifyOnly     work = "verify"
	pullUnverified work = "pull-unverified"
)
