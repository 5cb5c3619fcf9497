// Addresses are relative: on AWS the stage is part of the path, on a laptop more than that.
window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  // The public validator would be an external request.
  validatorUrl: null,
});
