package coderunner.packages;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** What the repository answers, through the proxy and with the authorities that the daemon names. */
final class Http {
  private final HttpClient client;

  /**
   * @param proxy as `http://HOST:PORT`
   * @param authorities a file of certificates, as PEM
   */
  Http(URI proxy, Path authorities) throws IOException, GeneralSecurityException {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null);
    try (var pem = Files.newInputStream(authorities)) {
      for (Certificate one : CertificateFactory.getInstance("X.509").generateCertificates(pem))
        store.setCertificateEntry("authority " + store.size(), one);
    }
    TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(store);
    SSLContext tls = SSLContext.getInstance("TLS");
    tls.init(null, trust.getTrustManagers(), null);
    client =
        HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .proxy(ProxySelector.of(new InetSocketAddress(proxy.getHost(), proxy.getPort())))
            .sslContext(tls)
            .connectTimeout(Duration.ofSeconds(30))
            .build();
  }

  /** The contents of an address; null where there is nothing. */
  byte[] get(URI address) throws IOException, InterruptedException {
    HttpRequest request = HttpRequest.newBuilder(address).timeout(Duration.ofMinutes(5)).build();
    var response = client.send(request, BodyHandlers.ofByteArray());
    return switch (response.statusCode()) {
      case 200 -> response.body();
      case 404 -> null;
      default -> throw new Problem("the Maven repository answers %d for %s".formatted(response.statusCode(), address));
    };
  }
}
