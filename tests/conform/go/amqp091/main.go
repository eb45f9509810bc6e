// amqp091-go: amqp091 ADDRESS
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"polylog/conform/internal/check"
)

var address = "amqp://guest:guest@" + os.Args[len(os.Args)-1] + "/"
var forever = context.Background()

func connect() *amqp.Connection { return check.Must(amqp.Dial(address)) }

func declare(channel *amqp.Channel, kind string) string {
	name := check.Topic()
	check.Must(channel.QueueDeclare(name, true, false, false, false, amqp.Table{"x-queue-type": kind}))
	return name
}

func publish(channel *amqp.Channel, queue string, count int) {
	for i := range count {
		check.OK(channel.PublishWithContext(forever, "", queue, false, false,
			amqp.Publishing{Body: fmt.Appendf(nil, "m%d", i), DeliveryMode: amqp.Persistent}))
	}
}

func receive(deliveries <-chan amqp.Delivery) amqp.Delivery {
	select {
	case delivery, open := <-deliveries:
		check.That(open, "the channel is open")
		return delivery
	case <-time.After(check.Limit):
		check.That(false, "no delivery within %s", check.Limit)
		return amqp.Delivery{}
	}
}

func silent(deliveries <-chan amqp.Delivery) {
	select {
	case delivery := <-deliveries:
		check.That(false, "a delivery of %q", delivery.Body)
	case <-time.After(300 * time.Millisecond):
	}
}

func consume(channel *amqp.Channel, queue string) <-chan amqp.Delivery {
	return check.Must(channel.Consume(queue, "", false, false, false, false, nil))
}

func messages(channel *amqp.Channel, queue string) int {
	return check.Must(channel.QueueDeclarePassive(queue, true, false, false, false, nil)).Messages
}

// On its own connection and channel, for each queue type that the check is about.
func add(name string, run func(channel *amqp.Channel, queue string)) {
	for _, kind := range []string{"classic", "quorum"} {
		check.Add(name+", "+kind, func() {
			connection := connect()
			defer connection.Close()
			channel := check.Must(connection.Channel())
			run(channel, declare(channel, kind))
		})
	}
}

func closedWith(code int, err error) {
	var reason *amqp.Error
	check.That(errors.As(err, &reason), "%v", err)
	check.Equal(code, reason.Code)
}

func main() {
	queues()
	publishing()
	consuming()
	lives()
	streams()
	check.RunAndExit()
}

func queues() {
	add("queues are declared, counted, purged and deleted", func(channel *amqp.Channel, queue string) {
		check.OK(channel.Confirm(false))
		publish(channel, queue, 3)
		check.Until("three messages", func() bool { return messages(channel, queue) == 3 })
		check.Equal(3, check.Must(channel.QueuePurge(queue, false)))
		publish(channel, queue, 2)
		check.Until("two messages", func() bool { return messages(channel, queue) == 2 })
		check.Equal(2, check.Must(channel.QueueDelete(queue, false, false, false)))
		_, err := channel.QueueDeclarePassive(queue, true, false, false, false, nil)
		closedWith(amqp.NotFound, err)
	})
	add("an inequivalent declaration closes the channel, not the connection", func(channel *amqp.Channel, queue string) {
		_, err := channel.QueueDeclare(queue, true, true, false, false, amqp.Table{"x-max-length": int32(1)})
		closedWith(amqp.PreconditionFailed, err)
	})
}

func publishing() {
	add("every publish is confirmed", func(channel *amqp.Channel, queue string) {
		check.OK(channel.Confirm(false))
		confirms := channel.NotifyPublish(make(chan amqp.Confirmation, 1000))
		publish(channel, queue, 1000)
		for tag := uint64(1); tag <= 1000; tag++ {
			confirm := <-confirms
			check.That(confirm.Ack && confirm.DeliveryTag == tag, "%v for tag %d", confirm, tag)
		}
		check.Equal(1000, messages(channel, queue))
	})
	add("a deferred confirmation comes", func(channel *amqp.Channel, queue string) {
		check.OK(channel.Confirm(false))
		deferred := check.Must(channel.PublishWithDeferredConfirm("", queue, false, false, amqp.Publishing{Body: []byte("x")}))
		check.That(deferred.Wait(), "it is acked")
	})
	add("a mandatory message without a queue is returned", func(channel *amqp.Channel, _ string) {
		returns := channel.NotifyReturn(make(chan amqp.Return, 1))
		check.OK(channel.PublishWithContext(forever, "", check.Topic(), true, false, amqp.Publishing{Body: []byte("back")}))
		select {
		case back := <-returns:
			check.Equal(uint16(amqp.NoRoute), back.ReplyCode)
			check.Equal("back", string(back.Body))
		case <-time.After(check.Limit):
			check.That(false, "nothing is returned")
		}
	})
	add("properties, headers and bodies of every size come back", func(channel *amqp.Channel, queue string) {
		headers := amqp.Table{"text": "grün", "long": int64(1) << 40, "yes": true, "list": []any{"a", int32(2)},
			"table": amqp.Table{"inner": "x"}, "none": nil, "bytes": []byte{0, 1, 2}, "double": 1.5}
		sent := amqp.Publishing{Headers: headers, ContentType: "text/plain", ContentEncoding: "utf-8", Priority: 3,
			DeliveryMode: amqp.Persistent, CorrelationId: "c", ReplyTo: "r", Expiration: "100000", MessageId: "i",
			Timestamp: time.Unix(1700000000, 0), Type: "t", UserId: "guest", AppId: "a"}
		deliveries := consume(channel, queue)
		for _, size := range []int{0, 1, 131064, 131065, 1000000} {
			sent.Body = make([]byte, size)
			check.OK(channel.PublishWithContext(forever, "", queue, false, false, sent))
			got := receive(deliveries)
			check.Equal(size, len(got.Body))
			check.OK(got.Ack(false))
			check.Equal("grün", got.Headers["text"].(string))
			check.Equal("x", got.Headers["table"].(amqp.Table)["inner"].(string))
			check.Equal(int32(2), got.Headers["list"].([]any)[1].(int32))
			check.Equal(fmt.Sprint(sent.ContentType, sent.CorrelationId, sent.ReplyTo, sent.MessageId, sent.Type, sent.AppId),
				fmt.Sprint(got.ContentType, got.CorrelationId, got.ReplyTo, got.MessageId, got.Type, got.AppId))
			check.That(got.Timestamp.Equal(sent.Timestamp), "timestamp %v", got.Timestamp)
		}
	})
}

func consuming() {
	add("deliveries come in order and are gone once acked", func(channel *amqp.Channel, queue string) {
		publish(channel, queue, 100)
		deliveries := consume(channel, queue)
		for i := range 100 {
			delivery := receive(deliveries)
			check.Equal(fmt.Sprintf("m%d", i), string(delivery.Body))
			check.That(!delivery.Redelivered, "it is new")
			if i%10 == 9 {
				check.OK(delivery.Ack(true))
			}
		}
		check.OK(channel.Qos(1, 0, false))
		check.Equal(0, messages(channel, queue))
	})
	add("requeued messages come back to their place, flagged", func(channel *amqp.Channel, queue string) {
		publish(channel, queue, 3)
		check.OK(channel.Qos(1, 0, false))
		deliveries := consume(channel, queue)
		check.OK(receive(deliveries).Nack(false, true))
		again := receive(deliveries)
		check.Equal("m0", string(again.Body))
		check.That(again.Redelivered, "it is flagged")
		check.OK(again.Ack(false))
		check.OK(receive(deliveries).Reject(false))
		check.Equal("m2", string(receive(deliveries).Body))
	})
	add("qos holds deliveries back", func(channel *amqp.Channel, queue string) {
		publish(channel, queue, 5)
		check.OK(channel.Qos(2, 0, false))
		deliveries := consume(channel, queue)
		first := receive(deliveries)
		receive(deliveries)
		silent(deliveries)
		check.OK(first.Ack(false))
		check.Equal("m2", string(receive(deliveries).Body))
		silent(deliveries)
	})
	add("what a closed channel held is delivered again", func(channel *amqp.Channel, queue string) {
		publish(channel, queue, 2)
		receive(consume(channel, queue))
		check.OK(channel.Close())
		connection := connect()
		defer connection.Close()
		again := receive(consume(check.Must(connection.Channel()), queue))
		check.Equal("m0", string(again.Body))
		check.That(again.Redelivered, "it is flagged")
	})
	add("get takes one message", func(channel *amqp.Channel, queue string) {
		publish(channel, queue, 2)
		check.Until("two messages", func() bool { return messages(channel, queue) == 2 })
		message, found, err := channel.Get(queue, true)
		check.OK(err)
		check.That(found && string(message.Body) == "m0" && message.MessageCount == 1, "m0, one left")
		_, _, err = channel.Get(queue, true)
		check.OK(err)
		_, found, err = channel.Get(queue, true)
		check.OK(err)
		check.That(!found, "it is empty")
	})
	add("a cancelled consumer gets nothing more", func(channel *amqp.Channel, queue string) {
		deliveries := check.Must(channel.Consume(queue, "mine", false, false, false, false, nil))
		check.OK(channel.Cancel("mine", false))
		publish(channel, queue, 1)
		_, open := <-deliveries
		check.That(!open, "its deliveries ended")
		check.Until("the message stays", func() bool { return messages(channel, queue) == 1 })
	})
	add("a consumer of a deleted queue is told", func(channel *amqp.Channel, queue string) {
		cancelled := channel.NotifyCancel(make(chan string, 1))
		check.Must(channel.Consume(queue, "mine", false, false, false, false, nil))
		check.Must(channel.QueueDelete(queue, false, false, false))
		select {
		case tag := <-cancelled:
			check.Equal("mine", tag)
		case <-time.After(check.Limit):
			check.That(false, "it is not told")
		}
	})
	add("a transaction's publishes and acks count at commit, not after rollback", func(channel *amqp.Channel, queue string) {
		other := check.Must(connect().Channel())
		check.OK(channel.Tx())
		publish(channel, queue, 2)
		check.OK(channel.TxRollback())
		check.Equal(0, messages(other, queue))
		publish(channel, queue, 2)
		check.OK(channel.TxCommit())
		check.Equal(2, messages(other, queue))
		deliveries := consume(channel, queue)
		receive(deliveries)
		check.OK(receive(deliveries).Ack(true))
		check.OK(channel.TxCommit())
		check.OK(channel.Close())
		check.Equal(0, messages(other, queue))
	})
}

func lives() {
	check.Add("the wrong password is refused", func() {
		_, err := amqp.Dial("amqp://guest:wrong@" + os.Args[len(os.Args)-1] + "/")
		closedWith(amqp.AccessRefused, err)
	})
	check.Add("a virtual host that is not there is refused", func() {
		_, err := amqp.Dial(address + "nowhere")
		check.That(err != nil, "it is refused")
	})
	check.Add("channels come and go, and one that fails leaves the others", func() {
		connection := connect()
		defer connection.Close()
		good := check.Must(connection.Channel())
		bad := check.Must(connection.Channel())
		_, err := bad.QueueDeclarePassive(check.Topic(), true, false, false, false, nil)
		closedWith(amqp.NotFound, err)
		declare(good, "classic")
		for range 100 {
			check.OK(check.Must(connection.Channel()).Close())
		}
	})
	check.Add("heartbeats keep an idle connection", func() {
		connection := check.Must(amqp.DialConfig(address, amqp.Config{Heartbeat: time.Second}))
		defer connection.Close()
		time.Sleep(4 * time.Second)
		declare(check.Must(connection.Channel()), "classic")
	})
	check.Add("an exclusive queue with a name from the server goes with its connection", func() {
		connection := connect()
		channel := check.Must(connection.Channel())
		queue := check.Must(channel.QueueDeclare("", false, true, true, false, nil)).Name
		publish(channel, queue, 1)
		receive(consume(channel, queue))
		check.OK(connection.Close())
		other := connect()
		defer other.Close()
		check.Until("it is gone", func() bool {
			_, err := check.Must(other.Channel()).QueueDeclarePassive(queue, false, true, true, false, nil)
			return err != nil
		})
	})
}

func streams() {
	check.Add("a stream is read from each kind of offset", func() {
		connection := connect()
		defer connection.Close()
		channel := check.Must(connection.Channel())
		queue := declare(channel, "stream")
		check.OK(channel.Confirm(false))
		confirms := channel.NotifyPublish(make(chan amqp.Confirmation, 10))
		publish(channel, queue, 10)
		for range 10 {
			<-confirms
		}
		for offset, wanted := range map[any]string{"first": "m0", int64(7): "m7"} {
			reading := check.Must(connection.Channel())
			check.OK(reading.Qos(10, 0, false))
			deliveries := check.Must(reading.Consume(queue, "", false, false, false, false, amqp.Table{"x-stream-offset": offset}))
			delivery := receive(deliveries)
			check.Equal(wanted, string(delivery.Body))
			check.OK(delivery.Ack(false))
			check.OK(reading.Close())
		}
	})
}
