package coderunner.packages;

/** Why there are no packages, as a sentence for people. */
final class Problem extends RuntimeException {
  private static final long serialVersionUID = 1;

  Problem(String message) {
    super(message);
  }
}
