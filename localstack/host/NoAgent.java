/** A Java agent that does nothing: LocalStack starts DynamoDB Local with one. */
public final class NoAgent {
    public static void premain(String arguments) {
    }
}
