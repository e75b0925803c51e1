package coderunner;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import javax.net.SocketFactory;

/**
 * Leads the JDBC driver to the server's socket, whatever host and port it asks for: the driver's own way there needs a native library.
 * Named by the {@code socketFactory} of the address in MARIADB_JDBC_URL.
 */
public final class UnixSocketFactory extends SocketFactory {
  private static final UnixDomainSocketAddress SERVER = UnixDomainSocketAddress.of("/tmp/mariadb/mariadb.sock");

  @Override
  public Socket createSocket() throws IOException {
    return new UnixSocket(SocketChannel.open(StandardProtocolFamily.UNIX));
  }

  @Override
  public Socket createSocket(String host, int port) throws IOException {
    return connected();
  }

  @Override
  public Socket createSocket(String host, int port, InetAddress local, int localPort) throws IOException {
    return connected();
  }

  @Override
  public Socket createSocket(InetAddress host, int port) throws IOException {
    return connected();
  }

  @Override
  public Socket createSocket(InetAddress host, int port, InetAddress local, int localPort) throws IOException {
    return connected();
  }

  private Socket connected() throws IOException {
    Socket socket = createSocket();
    socket.connect(SERVER);
    return socket;
  }

  /** A socket as the driver uses one. What is about TCP has no meaning here and does nothing; reading has no time limit. */
  private static final class UnixSocket extends Socket {
    private final SocketChannel channel;

    UnixSocket(SocketChannel channel) {
      this.channel = channel;
    }

    @Override
    public void connect(SocketAddress address) throws IOException {
      channel.connect(SERVER);
    }

    @Override
    public void connect(SocketAddress address, int timeout) throws IOException {
      channel.connect(SERVER);
    }

    @Override
    public InputStream getInputStream() {
      return Channels.newInputStream(channel);
    }

    @Override
    public OutputStream getOutputStream() {
      return Channels.newOutputStream(channel);
    }

    @Override
    public void shutdownInput() throws IOException {
      channel.shutdownInput();
    }

    @Override
    public void shutdownOutput() throws IOException {
      channel.shutdownOutput();
    }

    @Override
    public void close() throws IOException {
      channel.close();
    }

    @Override
    public boolean isConnected() {
      return channel.isConnected();
    }

    @Override
    public boolean isClosed() {
      return !channel.isOpen();
    }

    @Override
    public void setTcpNoDelay(boolean on) {}

    @Override
    public void setKeepAlive(boolean on) {}

    @Override
    public void setReuseAddress(boolean on) {}

    @Override
    public void setSoLinger(boolean on, int linger) {}

    @Override
    public void setSoTimeout(int timeout) {}

    @Override
    public int getSoTimeout() {
      return 0;
    }

    @Override
    public void setSendBufferSize(int size) {}

    @Override
    public void setReceiveBufferSize(int size) {}
  }
}
