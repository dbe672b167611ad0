package template

import (
	"context"
	"io"

	"croft/template/backups"
	"croft/template/layer"
	"croft/template/rootfs"
	"croft/template/trust"
)

// Backup writes a backup to w: see backups.Write.
func (s *Store) Backup(ctx context.Context, base string, r rootfs.Rootfs, w io.Writer, o backups.Options) (layer.LeftOut, error) {
	return backups.Write(ctx, s.Store, base, r, w, o)
}

// ImportBackup puts the image in a backup into the store: see backups.Import.
func (s *Store) ImportBackup(ctx context.Context, r io.Reader, u backups.Use) error {
	return backups.Import(ctx, s.Store, r, u)
}

// AcceptBackup returns fail.Permission if the policy of signatures refuses a backup in this file;
// "" is a stream.
func (s *Store) AcceptBackup(file string) error {
	return s.policy().File(trust.OCIArchive, file, "")
}

// UseBelow finds or makes the image below the layers of a VPS: see backups.UseBelow.
func (s *Store) UseBelow(ctx context.Context, digest string, n int, u backups.Use) error {
	return backups.UseBelow(ctx, s.Store, digest, n, u)
}

// OpenPush reaches the registry that a backup is pushed to: see backups.OpenTarget.
func (s *Store) OpenPush(ctx context.Context, to string, o PushOptions) (backups.Target, error) {
	return backups.OpenTarget(ctx, to, s.trust(o.Insecure), o.SignKey, s.policy())
}

// PushBackup uploads a backup to a registry: see backups.Push.
func (s *Store) PushBackup(ctx context.Context, base string, r rootfs.Rootfs, to backups.Target, o backups.Options) (backups.Pushed, error) {
	return backups.Push(ctx, s.Store, base, r, to, o)
}

// PullBackup puts a backup in a registry into the store: see backups.Pull.
func (s *Store) PullBackup(ctx context.Context, text string, o PullOptions, u backups.Use) error {
	return backups.Pull(ctx, s.Store, text, s.trust(o.Insecure), s.policy(), u)
}

// Parcel begins a backup that is sent in parts: see backups.Begin.
func (s *Store) Parcel(ctx context.Context, base string, r rootfs.Rootfs, o backups.Options) (*backups.Parcel, error) {
	return backups.Begin(ctx, s.Store, base, r, o)
}
