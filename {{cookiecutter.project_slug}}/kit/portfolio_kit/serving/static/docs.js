// The documentation of the API, from its OpenAPI document; both are on this server.

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null, // another server, which would be asked otherwise
  onComplete: () => {
    document.title = document.querySelector("#docs .title")?.firstChild.textContent ?? document.title;
  },
});
