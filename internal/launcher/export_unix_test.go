//go:build unix

package launcher

func WatchParent(pid int) (func(), error) { return watchParent(pid) }
