# By the name of the certificate.
terraform import registry_server_certificate.main main
