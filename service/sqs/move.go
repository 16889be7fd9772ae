package sqs

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// taskRecord is a redrive task: it moves the messages of a dead-letter queue back to where they come from, or to another queue. It goes on by a durable timer, a
// piece each time that this fires.
type taskRecord struct {
	Queue       string // ID of the source
	Started     time.Time
	ID          string
	Status      string
	Source      string // ARN
	Destination string `json:",omitempty"` // ARN; none is the queue that each message comes from
	Rate        int    `json:",omitempty"` // messages in a second
	Moved       int64  `json:",omitempty"`
	ToMove      int64  `json:",omitempty"`
	Failure     string `json:",omitempty"`
	After       entry  `json:",omitempty"` // what is due before it was looked at
}

const (
	running, completed, cancelled, failed = "RUNNING", "COMPLETED", "CANCELLED", "FAILED"

	keptTasks = 10  // that are listed
	maxRate   = 500 // messages in a second
	movePiece = 100 // messages that one transaction moves
)

// taskHandle names a task, as AWS does.
type taskHandle struct {
	TaskID    string `json:"taskId"`
	SourceARN string `json:"sourceArn"`
}

func (t *taskRecord) handle() (string, error) {
	b, err := json.Marshal(taskHandle{t.ID, t.Source})
	return base64.StdEncoding.EncodeToString(b), err
}

// source is the queue that a redrive task takes messages from, once the operation's own action is allowed on it.
func (s *Service) source(c *call.Call, text string) (*queue, error) {
	a, err := arn.Parse(text)
	if err != nil || a.Service != "sqs" || !validName(a.Resource) {
		return nil, invalid("You must use this format to specify the SourceArn: arn:<partition>:<service>:<region>:<account-id>:<resource-id>")
	}
	if a.Region != c.Scope.Region || a.Account != c.Scope.Account {
		return nil, noSource()
	}
	q, err := s.find(c, new("/"+a.Account+"/"+a.Resource))
	if _, none := errors.AsType[*sqs.QueueDoesNotExist](err); none {
		return nil, noSource()
	}
	return q, err
}

func (q *queue) tasks() store.Rows[taskRecord] { return taskTable.In(q.Account, q.Region) }

// task is the last task of the queue, or nil.
func (q *queue) task() (*taskRecord, error) {
	for t, err := range q.tasks().Scan(q.tx(), store.Query{Prefix: store.Key{q.ID}, Reverse: true, Limit: 1}) {
		return t, err
	}
	return nil, nil
}

// StartMessageMoveTask begins to move the messages of a dead-letter queue.
func (s *Service) StartMessageMoveTask(c *call.Call, in *sqs.StartMessageMoveTaskRequest) (*sqs.StartMessageMoveTaskResult, error) {
	if in.SourceArn == nil {
		return nil, missing("SourceArn")
	}
	q, err := s.source(c, *in.SourceArn)
	if err != nil {
		return nil, err
	}
	t := &taskRecord{
		Queue: q.ID, Started: c.Time, ID: c.UUID(), Status: running, Source: q.arn(), Destination: optional.Value(in.DestinationArn), Rate: int(optional.Value(in.MaxNumberOfMessagesPerSecond)),
	}
	if r := in.MaxNumberOfMessagesPerSecond; r != nil && (*r < 1 || *r > maxRate) {
		return nil, invalidValue(*r, "MaxNumberOfMessagesPerSecond", "Must be between 1 and 500.")
	}
	if err := s.checkMove(q, t); err != nil {
		return nil, err
	}
	last, err := q.task()
	if err != nil {
		return nil, err
	}
	if last != nil && last.Status == running {
		return nil, invalid("There is already a task running. Only one active task is allowed for a source queue arn at a given time.")
	}
	if last != nil && !t.Started.After(last.Started) {
		t.Started = last.Started.Add(1) // it names the task in the store
	}
	n, err := s.fronts.of(q.pile()).number(c.Context, s.cfg.Store, q.FIFO, c.Time)
	if err != nil {
		return nil, err
	}
	t.ToMove = int64(n.visible)
	if err := q.forgetTasks(keptTasks - 1); err != nil {
		return nil, err
	}
	if err := q.tasks().Insert(c.Tx(), t); err != nil {
		return nil, err
	}
	h, err := t.handle()
	if err != nil {
		return nil, err
	}
	return &sqs.StartMessageMoveTaskResult{TaskHandle: &h}, s.setMove(q, c.Time)
}

// checkMove holds a task against the queues that it is about. Who starts it has to be allowed what it does.
func (s *Service) checkMove(q *queue, t *taskRecord) error {
	from, err := s.resource(q)
	if err != nil {
		return err
	}
	for _, op := range []string{sqs.OpReceiveMessage.Action, sqs.OpDeleteMessage.Action} {
		if err := q.c.AuthorizeAction(op, from); err != nil {
			return err
		}
	}
	sources, err := queueTable.In(q.Account, q.Region).Count(q.tx(), store.Query{Index: "dead", Prefix: store.Key{t.Source}, Limit: 1})
	if err != nil {
		return err
	}
	if sources == 0 {
		return invalid("Source queue must be configured as a Dead Letter Queue.")
	}
	if t.Destination == "" {
		return nil
	}
	to, err := s.byARN(q, t.Destination)
	switch {
	case errors.Is(err, arn.ErrInvalid), errors.Is(err, store.ErrNotFound):
		return &sqs.ResourceNotFoundException{Message: "The resource that you specified for the DestinationArn parameter doesn't exist."}
	case err != nil:
		return err
	case to.ID == q.ID:
		return invalid("Source queue arn and destination queue arn cannot be the same.")
	case to.FIFO != q.FIFO:
		return invalid("The source and destination queues must be of the same type.")
	}
	into, err := s.resource(&queue{to, q.c})
	if err != nil {
		return err
	}
	return q.c.AuthorizeAction(sqs.OpSendMessage.Action, into)
}

// forgetTasks removes all tasks of the queue but the last ones.
func (q *queue) forgetTasks(keep int) error {
	for t, err := range q.tasks().Scan(q.tx(), store.Query{Prefix: store.Key{q.ID}, Reverse: true}) {
		if err != nil {
			return err
		}
		if keep--; keep >= 0 {
			continue
		}
		if err := q.tasks().Delete(q.tx(), t.Queue, t.Started); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) setMove(q *queue, due time.Time) error {
	return q.c.At(due, q.scope(), moveTimer, q.ID, []byte(q.Name))
}

// endTasks forgets the tasks of a queue that is being deleted.
func (s *Service) endTasks(q *queue) error {
	if err := q.c.Cancel(q.scope(), moveTimer, q.ID); err != nil {
		return err
	}
	return q.forgetTasks(0)
}

// ListMessageMoveTasks lists the last redrive tasks of a queue.
func (s *Service) ListMessageMoveTasks(c *call.Call, in *sqs.ListMessageMoveTasksRequest) (*sqs.ListMessageMoveTasksResult, error) {
	if in.SourceArn == nil {
		return nil, missing("SourceArn")
	}
	q, err := s.source(c, *in.SourceArn)
	if err != nil {
		return nil, err
	}
	limit := 1
	if n := in.MaxResults; n != nil {
		if *n < 1 || *n > keptTasks {
			return nil, invalidValue(*n, "MaxResults", "Value for parameter MaxResults must be an integer from 1 to 10.")
		}
		limit = int(*n)
	}
	out := &sqs.ListMessageMoveTasksResult{Results: []sqs.ListMessageMoveTasksResultEntry{}}
	for t, err := range q.tasks().Scan(c.Tx(), store.Query{Prefix: store.Key{q.ID}, Reverse: true, Limit: limit}) {
		if err != nil {
			return nil, err
		}
		e := sqs.ListMessageMoveTasksResultEntry{
			Status: &t.Status, SourceArn: &t.Source, DestinationArn: some(t.Destination), FailureReason: some(t.Failure),
			ApproximateNumberOfMessagesMoved: &t.Moved, ApproximateNumberOfMessagesToMove: &t.ToMove, StartedTimestamp: new(t.Started.UnixMilli()),
		}
		if t.Rate > 0 {
			e.MaxNumberOfMessagesPerSecond = new(int32(t.Rate))
		}
		if t.Status == running {
			h, err := t.handle()
			if err != nil {
				return nil, err
			}
			e.TaskHandle = &h
		}
		out.Results = append(out.Results, e)
	}
	return out, nil
}

// CancelMessageMoveTask ends a redrive task. What it has moved stays moved.
func (s *Service) CancelMessageMoveTask(c *call.Call, in *sqs.CancelMessageMoveTaskRequest) (*sqs.CancelMessageMoveTaskResult, error) {
	if in.TaskHandle == nil {
		return nil, missing("TaskHandle")
	}
	h, ok := parseTaskHandle(*in.TaskHandle)
	if !ok {
		return nil, invalid("Value for parameter TaskHandle is invalid.")
	}
	q, err := s.source(c, h.SourceARN)
	if err != nil {
		return nil, err
	}
	t, err := q.task()
	if err != nil {
		return nil, err
	}
	switch {
	case t == nil || t.ID != h.TaskID:
		return nil, &sqs.ResourceNotFoundException{Message: "Task does not exist."}
	case t.Status != running:
		return nil, &sqs.UnsupportedOperation{Message: "Only active tasks can be cancelled. Current task status is: " + t.Status + "."}
	}
	t.Status = cancelled
	if err := c.Cancel(q.scope(), moveTimer, q.ID); err != nil {
		return nil, err
	}
	return &sqs.CancelMessageMoveTaskResult{ApproximateNumberOfMessagesMoved: &t.Moved}, q.tasks().Put(c.Tx(), t)
}

func parseTaskHandle(text string) (h taskHandle, ok bool) {
	if len(text) > maxHandle {
		return h, false
	}
	b, err := base64.StdEncoding.DecodeString(text)
	return h, err == nil && json.Unmarshal(b, &h) == nil && arn.Is(h.SourceARN)
}

// move goes on with the queue's redrive task.
func (s *Service) move(c *call.Call, id string, name []byte) error {
	r, err := queueTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), string(name))
	if errors.Is(err, store.ErrNotFound) || err == nil && r.ID != id {
		return nil
	}
	if err != nil {
		return err
	}
	q := &queue{r, c}
	t, err := q.task()
	if err != nil || t == nil || t.Status != running {
		return err
	}
	m := &mover{queue: q, s: s, task: t, p: q.pile(), left: movePiece}
	if t.Rate > 0 {
		m.left = min(m.left, t.Rate)
	}
	piece := m.left
	mark := c.Tx().Mark()
	err = m.run()
	if errors.Is(err, errNoDestination) {
		// What this piece has moved so far stays where it was: the task ends all the same.
		c.Tx().Reset(mark)
		t.Moved -= m.moved
		t.Status, t.Failure = failed, "AWS.SimpleQueueService.NonExistentQueue"
		return q.tasks().Put(c.Tx(), t)
	}
	if err != nil {
		return err
	}
	if t.Status == running {
		next := c.Time
		if t.Rate > 0 {
			next = next.Add(time.Duration(piece) * time.Second / time.Duration(t.Rate))
		}
		if err := s.setMove(q, next); err != nil {
			return err
		}
	}
	return q.tasks().Put(c.Tx(), t)
}

var errNoDestination = errors.New("there is no queue to move a message to")

// mover moves a piece of the messages of a redrive task.
type mover struct {
	*queue
	s     *Service
	task  *taskRecord
	p     pile
	left  int // messages
	moved int64
	bytes int
}

// run moves what is due, from where the piece before has ended: an ordered store passes slowly over what that has removed. When there is no more it looks once more from the
// beginning, for what came late.
func (m *mover) run() error {
	prefix, before := m.p.key("due"), until(m.c.Time)
	from := m.task.After
	for kv, err := range m.tx().Scan(m.p.due(from), m.p.due(before), store.ScanOptions{}) {
		if err != nil {
			return err
		}
		if m.left <= 0 || m.bytes > pieceBytes {
			return nil
		}
		e := entry(kv.Key[len(prefix):])
		move := m.one
		if m.FIFO {
			move = m.group
		}
		if err := move(e); err != nil {
			return err
		}
		m.task.After = e
	}
	switch {
	case m.left <= 0 || m.bytes > pieceBytes:
	case from != "":
		m.task.After = ""
	case m.moved == 0:
		m.task.Status = completed
	}
	return nil
}

func (m *mover) one(e entry) error {
	seq, err := strconv.ParseUint(e.id(), 10, 64)
	if err != nil {
		return err
	}
	msg, err := m.p.load(m.tx(), seq)
	if err != nil {
		return err
	}
	m.tx().Delete(m.p.due(e))
	return m.send(msg)
}

func (m *mover) group(e entry) error {
	g, err := m.p.loadGroup(m.tx(), e.id())
	if err != nil || g == nil {
		return err
	}
	for seq, err := range m.p.inGroup(m.tx(), g.name, g.First) {
		if err != nil {
			return err
		}
		if m.left <= 0 || m.bytes > pieceBytes {
			break
		}
		msg, err := m.p.load(m.tx(), seq)
		if err != nil {
			return err
		}
		g.land(seq)
		if err := m.send(msg); err != nil {
			return err
		}
	}
	return m.p.moveGroup(m.tx(), g, g.Visible, m.c.Time)
}

// send moves a message to where the task takes it.
func (m *mover) send(msg *message) error {
	m.left--
	m.bytes += msg.Bytes
	if m.expired(msg) {
		m.s.erase(m.queue, m.p, msg)
		return nil
	}
	to := m.task.Destination
	if to == "" {
		to = msg.Source
	}
	target, err := m.s.byARN(m.queue, to)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, arn.ErrInvalid) || err == nil && target.FIFO != m.FIFO {
		return errNoDestination
	}
	if err != nil {
		return err
	}
	m.task.Moved++
	m.moved++
	return m.s.transfer(m.queue, m.p, msg, target, "")
}
