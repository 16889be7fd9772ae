package cloud

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/holdfast-cloud/holdfast/api/catalog"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/durable"
	"github.com/holdfast-cloud/holdfast/evidence"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/remote"
	"github.com/holdfast-cloud/holdfast/runner"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/service/cloudtrail"
	"github.com/holdfast-cloud/holdfast/service/events"
	"github.com/holdfast-cloud/holdfast/service/kms"
	"github.com/holdfast-cloud/holdfast/service/lambda"
	"github.com/holdfast-cloud/holdfast/service/sns"
	"github.com/holdfast-cloud/holdfast/service/sqs"
	"github.com/holdfast-cloud/holdfast/service/sts"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
	"github.com/holdfast-cloud/holdfast/store/pebblestore"
	"github.com/holdfast-cloud/holdfast/store/tuple"
	"github.com/holdfast-cloud/holdfast/timer"
)

// What lies in the data directory.
const (
	storeDir = "store"
	auditDir = "audit"
	blobDir  = "blob"
	rootFile = "root.key"

	forgottenDir = "store.forgotten" // what Reset removes, last of all that it does; a crash may leave it
)

// core is everything of a cloud that lives and dies with its store.
type core struct {
	store     store.Store
	clock     clock.Clock
	keyring   *seal.Keyring
	blob      blob.Store    // bulk bytes; what names them is in store
	objects   *blob.Holder  // what blob keeps: the same, sealed
	sweeper   *blob.Sweeper // takes away what a crash leaves there; services whose objects they are name themselves as owners
	trail     *audit.Trail
	meter     *meter.Meter // what services publish as CloudWatch metrics
	evidence  *evidence.Recorder
	directory *identity.Directory
	peers     *remote.Peers // nil when this process serves all regions
	members   *organization.Directory
	door      *door.Door
	sts       *sts.Service // publishes documents, too
	keys      *kms.Service
	trails    *cloudtrail.Service
	queues    *sqs.Service
	topics    *sns.Service // publishes certificates, too
	bus       *events.Service
	lambda    *lambda.Service // gives out code, too
	functions *runner.Runner
	scratch   string // of functions, where there is no data directory
	scheduler *timer.Scheduler
	post      *delivery.Dispatcher
	registry  *prometheus.Registry
	caches    map[string]func() cache.Stats // by name
	services  []string                      // that have a room
	endpoints []call.Endpoint

	jobs  []func(context.Context)
	steps []func(context.Context) (bool, error) // see beforeStep
	stop  context.CancelFunc
	work  sync.WaitGroup
}

func open(ctx context.Context, cfg Config) (_ *core, err error) {
	c := &core{caches: make(map[string]func() cache.Stats), meter: meter.New()}
	defer func() {
		if err != nil {
			_ = c.close()
		}
	}()
	provider := cfg.Seal
	if cfg.Dir == "" {
		c.store = memstore.New()
		if provider == nil {
			if provider, err = forgotten(); err != nil {
				return nil, err
			}
		}
	} else {
		if err := wholly(cfg.Dir); err != nil {
			return nil, err
		}
		if _, err := os.Lstat(filepath.Join(cfg.Dir, forgottenDir)); err == nil {
			if err := forget(cfg.Dir); err != nil {
				return nil, err
			}
		}
		if c.store, err = pebblestore.Open(pebblestore.Options{Dir: filepath.Join(cfg.Dir, storeDir), Log: cfg.Log}); err != nil {
			return nil, err
		}
		if provider == nil {
			provider = seal.NewFile(filepath.Join(cfg.Dir, rootFile))
		}
	}
	if err := c.openClock(ctx, cfg); err != nil {
		return nil, err
	}
	if c.keyring, err = seal.Open(ctx, seal.Config{Provider: provider, Storage: sealStorage{c.store}, Clock: c.clock, Wait: cfg.SealWait}); err != nil {
		return nil, err
	}
	if err := c.openBlob(cfg.Dir); err != nil {
		return nil, err
	}
	trailDir := ""
	if cfg.Dir != "" {
		trailDir = filepath.Join(cfg.Dir, auditDir)
	}
	c.trail, err = audit.Open(audit.Config{
		Store: c.store, Dir: trailDir, Archive: c.blob, Sync: cfg.AuditSync, KeepOn: cfg.AuditKeepOn,
		Failed: func(err error) { cfg.Log.Error("audit trail", "cause", err.Error()) },
	})
	if err != nil {
		return nil, err
	}
	c.evidence = evidence.New(evidence.Config{
		Store: c.store, Seal: c.keyring, KeepOn: cfg.AuditKeepOn, Failed: func(err error) { cfg.Log.Error("evidence", "cause", err.Error()) },
	})
	if c.peers, err = openPeers(cfg); err != nil {
		return nil, err
	}
	partition := door.PartitionOf(cfg.Region)
	var guests []string
	if cfg.Dev {
		guests = append(guests, identity.DeveloperARN(partition, cfg.Account))
	}
	c.directory = identity.New(c.store, c.keyring, partition, guests...)
	c.members = organization.New(c.store, partition)
	rooms, err := c.rooms(cfg, partition)
	if err != nil {
		return nil, err
	}
	for _, r := range rooms {
		c.services = append(c.services, r.Service.Package)
		c.endpoints = append(c.endpoints, r.Endpoints...)
	}
	doorConfig := door.Config{
		Store: c.store, Clock: c.clock, Signatures: new(clock.Real), Trail: c.trail, Evidence: c.evidence, Directory: c.directory, Organizations: c.members, Log: cfg.Log,
		Partition: partition, Account: cfg.Account, Region: cfg.Region, Dev: cfg.Dev, Catalog: catalog.Services(),
	}
	if c.peers != nil {
		doorConfig.Peers = c.peers
	}
	c.post = delivery.NewDispatcher(c.store, func(ctx context.Context, batch []*delivery.Parcel) (delivery.Outcome, error) {
		return c.door.Carry(ctx, batch)
	})
	doorConfig.Deliveries = c.post
	if c.door, err = door.New(doorConfig, rooms...); err != nil {
		return nil, err
	}
	c.scheduler = timer.NewScheduler(c.store, c.clock, c.door.Fire)
	for _, step := range c.steps {
		c.scheduler.BeforeStep(step)
	}
	c.scheduler.BeforeStep(c.post.Settle)
	c.measure()
	c.start(cfg)
	return c, nil
}

// forgotten is a root key for what is forgotten anyway.
func forgotten() (seal.Provider, error) {
	key := make([]byte, 32)
	rand.Read(key)
	return seal.NewKey(key)
}

// forget ends a reset of a data directory, from which the store was moved away already. What says that it has not ended goes last.
func forget(dir string) error {
	for _, name := range []string{auditDir, blobDir} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("forgetting all state: %w", err)
		}
	}
	if err := durable.SyncDir(dir); err != nil {
		return fmt.Errorf("forgetting all state: %w", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, forgottenDir)); err != nil {
		return fmt.Errorf("forgetting all state: %w", err)
	}
	if err := durable.SyncDir(dir); err != nil { // before anything new comes: this must not be done again then
		return fmt.Errorf("forgetting all state: %w", err)
	}
	return nil
}

// openBlob opens what holds bulk bytes: sealed, wherever they lie.
func (c *core) openBlob(dir string) error {
	var objects blob.Store = new(blob.Memory)
	if dir != "" {
		files, err := blob.OpenFiles(filepath.Join(dir, blobDir))
		if err != nil {
			return err
		}
		objects = files
	}
	c.objects = blob.HoldDeletions(objects)
	c.blob = blob.Seal(c.objects, c.keyring.Box("blob"))
	c.sweeper = &blob.Sweeper{Store: c.blob, Owners: make(map[string]blob.Owner)}
	return nil
}

// background has fn run from start to close.
func (c *core) background(fn func(context.Context)) { c.jobs = append(c.jobs, fn) }

// beforeStep has fn called when the clock is moved, before it goes on to a later time: see timer.Scheduler.
func (c *core) beforeStep(fn func(context.Context) (worked bool, err error)) {
	c.steps = append(c.steps, fn)
}

func (c *core) start(cfg Config) {
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	failed := func(err error) { cfg.Log.Error("background work", "cause", err.Error()) }
	c.background(func(ctx context.Context) { c.scheduler.Run(ctx, failed) })
	c.background(func(ctx context.Context) { c.directory.RunUses(ctx, failed) })
	c.background(c.trail.Run)
	c.background(func(ctx context.Context) { c.trail.RunRetention(ctx, c.clock, cfg.AuditRetention, failed) })
	c.background(func(ctx context.Context) { c.sweeper.Run(ctx, failed) })
	c.background(func(ctx context.Context) { c.evidence.RunRetention(ctx, c.clock, cfg.AuditRetention, failed) })
	if cfg.Idle {
		return
	}
	c.post.Start(ctx, failed)
	c.work.Go(c.post.Wait)
	for _, job := range c.jobs {
		c.work.Go(func() { job(ctx) })
	}
}

func (c *core) close() error {
	if c.stop != nil {
		c.stop()
		c.work.Wait()
	}
	if c.peers != nil {
		c.peers.Close()
	}
	errs := []error{c.closeRunner(context.Background())}
	if c.trail != nil {
		errs = append(errs, c.trail.Close())
	}
	if c.store != nil {
		errs = append(errs, c.store.Close())
	}
	return errors.Join(errs...)
}

// failure is why calls cannot be carried out at the moment, or "". What is wrong with which file is for the log.
func (c *core) failure(ctx context.Context, keepOn bool) string {
	err := c.store.View(ctx, func(r store.Reader) error {
		_, err := r.Get(keyringKey)
		return err
	})
	m := c.store.Metrics()
	switch {
	case err != nil:
		return "the store cannot be read"
	case m.DiskFree > 0 && m.DiskFree < m.DiskSpare:
		return "the disk is full: nothing can be changed"
	case !keepOn && c.trail.Failure() != nil:
		return "audit records cannot be written"
	}
	return ""
}

// measure registers the metrics.
func (c *core) measure() {
	c.registry = prometheus.NewRegistry()
	c.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	c.registry.MustRegister(c.door.Collectors()...)
	counter := func(name, help string, value func(store.Metrics) uint64) {
		c.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 {
			return float64(value(c.store.Metrics()))
		}))
	}
	counter("holdfast_store_commits_total", "Transactions with writes that became durable.", func(m store.Metrics) uint64 { return m.Commits })
	counter("holdfast_store_reads_total", "Transactions that ended without writing.", func(m store.Metrics) uint64 { return m.Reads })
	counter("holdfast_store_conflicts_total", "Commits that were answered with a conflict.", func(m store.Metrics) uint64 { return m.Conflicts })
	counter("holdfast_store_written_bytes_total", "Bytes of keys and values committed.", func(m store.Metrics) uint64 { return m.Written })
	c.measureTrail()
	c.registry.MustRegister(postMetrics{c})
	c.measureDeliveries(c.trails)
	c.measurePeers(c.keys)
	c.caches["credentials"] = c.directory.CacheStats
	c.caches["organizations"] = c.members.CacheStats
	for name, stats := range c.caches {
		labels := prometheus.Labels{"cache": name}
		c.registry.MustRegister(
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "holdfast_cache_values", Help: "Values kept ready for calls.", ConstLabels: labels},
				func() float64 { return float64(stats().Values) }),
			prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "holdfast_cache_loads_total", Help: "Values that had to be loaded for a call.", ConstLabels: labels},
				func() float64 { return float64(stats().Loads) }),
		)
	}
	c.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "holdfast_store_disk_bytes", Help: "Size of the store on disk."},
			func() float64 { return float64(c.store.Metrics().DiskBytes) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "holdfast_blob_bytes", Help: "Bytes of the objects beside the store, by the last daily look."},
			func() float64 { return float64(c.sweeper.Usage().Bytes) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "holdfast_blob_objects", Help: "Objects beside the store, by the last daily look."},
			func() float64 { return float64(c.sweeper.Usage().Objects) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "holdfast_blob_swept_total", Help: "Objects that no record named, and that were removed."},
			func() float64 { return float64(c.sweeper.Usage().Removed) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "holdfast_timers_fired_total", Help: "Timers carried out."},
			func() float64 { return float64(c.scheduler.Stats().Fired) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "holdfast_timers_failed_total", Help: "Attempts to carry out a timer that failed."},
			func() float64 { return float64(c.scheduler.Stats().Failed) }),
	)
}

// sealStorage keeps the keyring in the store, at holdfast/seal/keyring.
type sealStorage struct{ store store.Store }

var keyringKey = tuple.Encode("holdfast", "seal", "keyring")

var errKeyringLost = errors.New("the data directory has data but no keyring: it was lost or removed, and without it nothing can be opened")

// Load implements seal.Storage.
func (s sealStorage) Load(ctx context.Context) (value []byte, err error) {
	err = s.store.View(ctx, func(r store.Reader) error {
		value, err = r.Get(keyringKey)
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		for _, err := range r.Scan(nil, nil, store.ScanOptions{Limit: 1}) {
			if err != nil {
				return err
			}
			return errKeyringLost
		}
		return seal.ErrEmpty
	})
	return value, err
}

// Swap implements seal.Storage.
func (s sealStorage) Swap(ctx context.Context, old, new []byte) error {
	return s.store.Update(ctx, func(tx store.Tx) error {
		value, err := tx.Get(keyringKey)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if string(value) != string(old) || (value == nil) != (old == nil) {
			return seal.ErrChanged
		}
		tx.Set(keyringKey, new)
		return nil
	})
}

var clockKey = tuple.Encode("holdfast", "clock")

// movedClock is how far a dev cloud's clock was moved: the data lies in its time, so it must be there again after a restart.
type movedClock struct{ Offset time.Duration }

// openClock takes the clock given, or in dev mode one that can be moved, or the machine's.
func (c *core) openClock(ctx context.Context, cfg Config) error {
	switch {
	case cfg.Clock != nil:
		c.clock = cfg.Clock
		return nil
	case !cfg.Dev:
		c.clock = new(clock.Real)
		return nil
	}
	var moved movedClock
	err := c.store.View(ctx, func(r store.Reader) error {
		b, err := r.Get(clockKey)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(b, &moved)
	})
	if err != nil {
		return fmt.Errorf("reading the clock's offset: %w", err)
	}
	c.clock = clock.NewMovable(moved.Offset)
	return nil
}

func (c *core) saveOffset(ctx context.Context, d time.Duration) error {
	b, err := json.Marshal(movedClock{d})
	if err != nil {
		return err
	}
	return c.store.Update(ctx, func(tx store.Tx) error {
		tx.Set(clockKey, b)
		return nil
	})
}
