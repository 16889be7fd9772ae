package cloudwatch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// BenchmarkDay is a day of a clock that is moved, with ten alarms of a minute on a metric that a service publishes each minute.
func BenchmarkDay(b *testing.B) {
	h := start(b)
	queues := sqs.NewFromConfig(h.Config())
	q := must(queues.CreateQueue(b.Context(), &sqs.CreateQueueInput{QueueName: aws.String("q")}))(b)
	must(queues.SendMessage(b.Context(), &sqs.SendMessageInput{QueueUrl: q.QueueUrl, MessageBody: aws.String("m")}))(b)
	for i := range 10 {
		h.watch(fmt.Sprint("a", i), "ApproximateNumberOfMessagesVisible", func(in *cloudwatch.PutMetricAlarmInput) {
			in.Namespace, in.Dimensions = aws.String("AWS/SQS"), []types.Dimension{{Name: aws.String("QueueName"), Value: aws.String("q")}}
		})
	}
	h.Advance(time.Hour)
	for b.Loop() {
		h.Advance(24 * time.Hour)
	}
	b.StopTimer()
	h.want("a3", types.StateValueOk, "1 datapoint")
}
