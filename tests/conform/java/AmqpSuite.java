import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.ShutdownSignalException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** The RabbitMQ Java client: AmqpSuite HOST:PORT */
public final class AmqpSuite {
  private static final int SECONDS = 30;
  private static final Checks checks = new Checks();
  private static final ConnectionFactory factory = new ConnectionFactory();
  private static int queues;

  interface Body {
    void run(Channel channel, String queue) throws Exception;
  }

  public static void main(String[] args) {
    factory.setHost(args[0].substring(0, args[0].lastIndexOf(':')));
    factory.setPort(Integer.parseInt(args[0].substring(args[0].lastIndexOf(':') + 1)));
    factory.setAutomaticRecoveryEnabled(false);
    publishing();
    consuming();
    lives();
    checks.runAndExit();
  }

  /** Each check on a connection of its own, for both kinds of queue. */
  private static void add(String name, Body body) {
    for (String kind : List.of("classic", "quorum")) {
      checks.add(name + ", " + kind, () -> {
        try (Connection connection = factory.newConnection()) {
          Channel channel = connection.createChannel();
          String queue = "java-" + ++queues;
          channel.queueDeclare(queue, true, false, false, Map.of("x-queue-type", kind));
          body.run(channel, queue);
        }
      });
    }
  }

  private static void publish(Channel channel, String queue, int count) throws Exception {
    for (int i = 0; i < count; ++i)
      channel.basicPublish("", queue, new BasicProperties.Builder().deliveryMode(2).build(), bytes("m" + i));
  }

  private static BlockingQueue<Delivery> consume(Channel channel, String queue, Map<String, Object> arguments)
      throws Exception {
    BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();
    channel.basicConsume(queue, false, arguments, (tag, delivery) -> deliveries.add(delivery), tag -> { });
    return deliveries;
  }

  private static Delivery next(BlockingQueue<Delivery> deliveries) throws Exception {
    Delivery delivery = deliveries.poll(SECONDS, TimeUnit.SECONDS);
    Checks.that(delivery != null, "a delivery within " + SECONDS + " s");
    return delivery;
  }

  private static long tag(Delivery delivery) {
    return delivery.getEnvelope().getDeliveryTag();
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static String text(Delivery delivery) {
    return new String(delivery.getBody(), StandardCharsets.UTF_8);
  }

  private static int closeCode(Throwable why) {
    Throwable inner = why;
    while (inner != null && !(inner instanceof ShutdownSignalException)) inner = inner.getCause();
    Checks.that(inner != null, "a close: " + why);
    Object reason = ((ShutdownSignalException) inner).getReason();
    return reason instanceof AMQP.Channel.Close close ? close.getReplyCode()
        : ((AMQP.Connection.Close) reason).getReplyCode();
  }

  private static void publishing() {
    add("every publish is confirmed", (channel, queue) -> {
      channel.confirmSelect();
      publish(channel, queue, 1000);
      channel.waitForConfirmsOrDie(SECONDS * 1000);
      Checks.equal(1000, channel.queueDeclarePassive(queue).getMessageCount());
      Checks.equal(1000, channel.queuePurge(queue).getMessageCount());
    });
    add("properties, headers and bodies of every size come back", (channel, queue) -> {
      BasicProperties sent = new BasicProperties.Builder().contentType("text/plain").contentEncoding("utf-8").priority(3)
          .deliveryMode(2).correlationId("c").replyTo("r").expiration("100000").messageId("i").type("t").userId("guest")
          .appId("a").timestamp(new Date(1700000000000L))
          .headers(Map.of("text", "grün", "long", 1L << 40, "yes", true, "list", List.of("a", 2), "bytes", new byte[] {0, 1},
              "table", Map.of("inner", "x"))).build();
      BlockingQueue<Delivery> deliveries = consume(channel, queue, Map.of());
      for (int size : new int[] {0, 1, 131064, 131065, 1000000}) {
        channel.basicPublish("", queue, sent, new byte[size]);
        Delivery got = next(deliveries);
        Checks.equal(size, got.getBody().length);
        Map<String, Object> headers = got.getProperties().getHeaders();
        Checks.equal("grün", headers.get("text").toString());
        Checks.equal(1L << 40, headers.get("long"));
        Checks.equal(2, ((List<?>) headers.get("list")).get(1));
        Checks.equal("x", ((Map<?, ?>) headers.get("table")).get("inner").toString());
        Checks.equal(sent.getTimestamp(), got.getProperties().getTimestamp());
        Checks.equal("c", got.getProperties().getCorrelationId());
        channel.basicAck(tag(got), false);
      }
    });
    add("a mandatory message without a queue is returned", (channel, queue) -> {
      BlockingQueue<Integer> codes = new ArrayBlockingQueue<>(1);
      channel.addReturnListener(back -> codes.add(back.getReplyCode()));
      channel.basicPublish("", queue + "-none", true, null, bytes("back"));
      Checks.equal(AMQP.NO_ROUTE, codes.poll(SECONDS, TimeUnit.SECONDS));
    });
    add("a transaction's publishes and acks count at commit", (channel, queue) -> {
      Channel other = channel.getConnection().createChannel();
      channel.txSelect();
      publish(channel, queue, 2);
      channel.txRollback();
      Checks.equal(0L, other.messageCount(queue));
      publish(channel, queue, 2);
      channel.txCommit();
      Checks.equal(2L, other.messageCount(queue));
      BlockingQueue<Delivery> deliveries = consume(channel, queue, Map.of());
      next(deliveries);
      channel.basicAck(tag(next(deliveries)), true);
      channel.txCommit();
      channel.close();
      Checks.equal(0L, other.messageCount(queue));
    });
  }

  private static void consuming() {
    add("deliveries come in order and are gone once acked", (channel, queue) -> {
      publish(channel, queue, 100);
      BlockingQueue<Delivery> deliveries = consume(channel, queue, Map.of());
      for (int i = 0; i < 100; ++i) {
        Delivery delivery = next(deliveries);
        Checks.equal("m" + i, text(delivery));
        if (i == 99) channel.basicAck(tag(delivery), true);
      }
      channel.basicQos(1);
      Checks.equal(0L, channel.messageCount(queue));
    });
    add("requeued messages come back to their place, flagged", (channel, queue) -> {
      publish(channel, queue, 3);
      channel.basicQos(1);
      BlockingQueue<Delivery> deliveries = consume(channel, queue, Map.of());
      channel.basicNack(tag(next(deliveries)), false, true);
      Delivery again = next(deliveries);
      Checks.equal("m0", text(again));
      Checks.that(again.getEnvelope().isRedeliver(), "it is flagged");
      channel.basicAck(tag(again), false);
      channel.basicReject(tag(next(deliveries)), false);
      Checks.equal("m2", text(next(deliveries)));
    });
    add("qos holds deliveries back", (channel, queue) -> {
      publish(channel, queue, 5);
      channel.basicQos(2);
      BlockingQueue<Delivery> deliveries = consume(channel, queue, Map.of());
      Delivery first = next(deliveries);
      next(deliveries);
      Checks.that(deliveries.poll(300, TimeUnit.MILLISECONDS) == null, "no third one");
      channel.basicAck(tag(first), false);
      Checks.equal("m2", text(next(deliveries)));
    });
    add("get, cancel and recover", (channel, queue) -> {
      publish(channel, queue, 2);
      Checks.until("two messages", Duration.ofSeconds(SECONDS), () -> channel.messageCount(queue) == 2);
      GetResponse got = channel.basicGet(queue, false);
      Checks.equal(1, got.getMessageCount());
      channel.basicRecover(true);
      Checks.until("it is back", Duration.ofSeconds(SECONDS), () -> channel.messageCount(queue) == 2);
      String consumer = channel.basicConsume(queue, false, (tag, delivery) -> { }, tag -> { });
      channel.basicCancel(consumer);
      Checks.equal(0, channel.queueDeclarePassive(queue).getConsumerCount());
    });
    add("a consumer of a deleted queue is told", (channel, queue) -> {
      BlockingQueue<String> cancelled = new ArrayBlockingQueue<>(1);
      channel.basicConsume(queue, false, "mine", (tag, delivery) -> { }, cancelled::add);
      channel.getConnection().createChannel().queueDelete(queue);
      Checks.equal("mine", cancelled.poll(SECONDS, TimeUnit.SECONDS));
    });
    checks.add("a stream is read from an offset", () -> {
      try (Connection connection = factory.newConnection()) {
        Channel channel = connection.createChannel();
        channel.queueDeclare("java-stream", true, false, false, Map.of("x-queue-type", "stream"));
        channel.confirmSelect();
        publish(channel, "java-stream", 10);
        channel.waitForConfirmsOrDie(SECONDS * 1000);
        channel.basicQos(10);
        Delivery delivery = next(consume(channel, "java-stream", Map.of("x-stream-offset", 7L)));
        Checks.equal("m7", text(delivery));
        Checks.equal(7L, delivery.getProperties().getHeaders().get("x-stream-offset"));
      }
    });
  }

  private static void lives() {
    add("an inequivalent declaration closes the channel alone", (channel, queue) -> {
      Throwable why = failure(() -> channel.queueDeclare(queue, true, false, true, Map.of()));
      Checks.equal(AMQP.PRECONDITION_FAILED, closeCode(why));
      channel.getConnection().createChannel().queueDeclarePassive(queue);
    });
    add("an unknown delivery tag closes the channel alone", (channel, queue) -> {
      channel.basicAck(12345, false);
      Checks.until("it is closed", Duration.ofSeconds(SECONDS), () -> !channel.isOpen());
      Checks.equal(AMQP.PRECONDITION_FAILED, closeCode(channel.getCloseReason()));
      Checks.that(channel.getConnection().isOpen(), "the connection lives");
    });
    checks.add("the wrong password and an unknown virtual host are refused", () -> {
      ConnectionFactory wrong = factory.clone();
      wrong.setPassword("wrong");
      Checks.failure(wrong::newConnection);
      ConnectionFactory nowhere = factory.clone();
      nowhere.setVirtualHost("nowhere");
      Checks.failure(nowhere::newConnection);
    });
    checks.add("heartbeats keep an idle connection", () -> {
      ConnectionFactory beating = factory.clone();
      beating.setRequestedHeartbeat(1);
      try (Connection connection = beating.newConnection()) {
        Thread.sleep(4000);
        connection.createChannel().queueDeclare();
      }
    });
  }

  /** What the body throws, with its causes. */
  private static Throwable failure(Checks.Body body) {
    try {
      body.run();
    } catch (Throwable error) {
      return error;
    }
    throw new AssertionError("it did not fail");
  }
}
