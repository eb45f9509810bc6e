import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;

/** Named checks, run one after the other. Each prints one line: "ok NAME" or "not ok NAME: WHY". */
final class Checks {
  interface Body {
    void run() throws Exception;
  }

  private final Map<String, Body> all = new LinkedHashMap<>();

  void add(String name, Body body) {
    all.put(name, body);
  }

  /** Ends the process: clients of failed checks may have left threads behind. */
  void runAndExit() {
    boolean good = true;
    for (Map.Entry<String, Body> check : all.entrySet()) {
      try {
        check.getValue().run();
        System.out.println("ok " + check.getKey());
      } catch (Throwable error) {
        good = false;
        System.out.println("not ok " + check.getKey() + ": " + error.toString().replace('\n', ' '));
        error.printStackTrace();
      }
    }
    System.out.flush();
    Runtime.getRuntime().halt(good ? 0 : 1);
  }

  static void equal(Object wanted, Object got) {
    if (!wanted.equals(got)) throw new AssertionError("wanted " + wanted + ", got " + got);
  }

  static void that(boolean condition, String what) {
    if (!condition) throw new AssertionError("not so: " + what);
  }

  static void until(String what, Duration limit, Callable<Boolean> condition) throws Exception {
    long deadline = System.nanoTime() + limit.toNanos();
    while (!condition.call()) {
      if (System.nanoTime() > deadline) throw new AssertionError("not within " + limit.toSeconds() + " s: " + what);
      Thread.sleep(20);
    }
  }

  /** Runs the body and returns what it throws, its wrappers taken off. */
  static Throwable failure(Body body) {
    try {
      body.run();
    } catch (Throwable error) {
      Throwable inner = error;
      while (inner.getCause() != null) inner = inner.getCause();
      return inner;
    }
    throw new AssertionError("it did not fail");
  }
}
