void main() {
    IO.println("Hello from Java!");
}
