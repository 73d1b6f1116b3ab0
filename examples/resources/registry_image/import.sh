# REPOSITORY:TAG. Where the image came from is not known, so that the next apply copies it again; what is there already is not sent.
terraform import registry_image.nginx mirror/nginx:1.27
